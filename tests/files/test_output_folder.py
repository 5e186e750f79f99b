"""Programs write into folders that are empty or theirs, and what others have there stays."""

from __future__ import annotations

import re

import pytest
from PIL import Image
from programs import EXPERIMENTS

from mofa3d.camera import Camera
from mofa3d.cli import main
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.data.sources import find_items
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME
from mofa3d.files.folders import MARK, refuse_existing, take_folder
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import claim_folder


class TestFolders:
    def test_empty_ones_and_those_of_the_same_program(self, tmp_path):
        (tmp_path / ".DS_Store").touch()
        for _ in range(2):
            take_folder(tmp_path, "evaluate.py")
            (tmp_path / "report.md").write_text("results")
        assert (tmp_path / MARK).read_text() == "evaluate.py\n"

    def test_those_of_other_programs_and_of_users_are_refused(self, tmp_path):
        take_folder(tmp_path / "one", "evaluate.py")
        with pytest.raises(ValueError, match=r"one contains results of evaluate.py; choose another --out for fit.py"):
            take_folder(tmp_path / "one", "fit.py")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "report.md").write_text("the user's")
        with pytest.raises(ValueError, match=r"mine contains files that fit.py did not write; choose another --out"):
            take_folder(tmp_path / "mine", "fit.py")
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["report.md"]
        take_folder(tmp_path / "mine", "fit.py", known=True)  # from before there were marks

    def test_trainings(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "config.json").write_text("the user's")
        with (
            pytest.raises(ValueError, match="contains files that a training did not write"),
            claim_folder(tmp_path / "mine", resume=False),
        ):
            pass
        (tmp_path / "mine" / CHECKPOINT_NAME).touch()  # a training from before there were marks
        with claim_folder(tmp_path / "mine", resume=True):
            pass

    def test_every_program_takes_its_folder(self):
        """Programs with --out either take it, or keep results by their inputs, or refuse to replace a file."""
        ways = r"(take_folder|claim_folder|InputFolders\.open|refuse_existing)\(config|Reconstruct"
        texts = {path.name: path.read_text(encoding="utf-8") for path in EXPERIMENTS.glob("*.py")}
        named = {name for name, text in texts.items() if re.search(r"^    out: ", text, flags=re.MULTILINE)}
        assert len(named) > 10
        assert {name for name in named if not re.search(ways, texts[name])} == set()


class TestCorpora:
    @pytest.fixture
    def shards(self, tmp_path, portrait):
        """Somebody's own shards, and photographs."""
        (tmp_path / "data" / "shards").mkdir(parents=True)
        (tmp_path / "data" / "shards" / "000000.tar").write_text("the user's")
        (tmp_path / "data" / "shards" / "000000.json").write_text("{}")
        Image.open(portrait).save(tmp_path / "me.png")
        return tmp_path / "data"

    def test_own_shards_stay(self, shards, tmp_path, capsys, tiny_model):
        command = ["prepare", str(tmp_path / "me.png"), "--out", str(shards), "--landmarks", "none", "--workers", "1"]
        assert main.main(command) == 2
        assert f"{shards} contains files that prepare did not write; choose another --out" in capsys.readouterr().err
        with pytest.raises(ValueError, match="contains files that synthesize did not write"):
            synthesize(SyntheticConfig(count=1), Decoder(tiny_model, Camera(16)), make_renderer("cpu"), shards)
        assert {path.name: path.read_text() for path in (shards / "shards").iterdir()} == {
            "000000.tar": "the user's", "000000.json": "{}",
        }  # fmt: skip
        assert [path.name for path in shards.iterdir()] == ["shards"]

    def test_corpora_from_before_there_were_marks_go_on(self, tmp_path, tiny_model):
        decode, render = Decoder(tiny_model, Camera(16)), make_renderer("cpu")
        synthesize(SyntheticConfig(count=1), decode, render, tmp_path / "corpus")
        for gone in (MARK, "corpus.json"):
            (tmp_path / "corpus" / gone).unlink()
            assert len(synthesize(SyntheticConfig(count=1), decode, render, tmp_path / "corpus")) == 1

    def test_corpora_among_photographs_are_no_photographs(self, tmp_path, tiny_model):
        Image.new("RGB", (4, 4)).save(tmp_path / "me.png")
        synthesize(SyntheticConfig(count=1), Decoder(tiny_model, Camera(16)), make_renderer("cpu"), tmp_path / "corpus")
        Image.new("RGB", (4, 4)).save(tmp_path / "corpus" / "picture.png")
        assert [item.path.name for item in find_items([tmp_path])] == ["me.png"]
        (tmp_path / "corpus" / MARK).unlink()  # as before there were marks
        assert [item.path.name for item in find_items([tmp_path])] == ["me.png"]
        assert len(find_items([tmp_path / "corpus"])) == 2  # named itself


class TestFiles:
    def test_stay_unless_forced(self, tmp_path):
        refuse_existing(tmp_path / "new.png", force=False)
        (tmp_path / "mine.png").symlink_to(tmp_path / "nowhere")
        with pytest.raises(ValueError, match=r"mine.png already exists; give another --out, or --force to replace"):
            refuse_existing(tmp_path / "mine.png", force=False)
        refuse_existing(tmp_path / "mine.png", force=True)
        with pytest.raises(ValueError, match="is a folder; give the name of a file"):
            refuse_existing(tmp_path, force=True)

    def test_preview(self, tmp_path, capsys):
        (tmp_path / "mine.png").write_text("the user's")
        assert main.main(["model", "preview", "makehuman", "--out", str(tmp_path / "mine.png")]) == 2
        assert "mine.png already exists; give another --out, or --force" in capsys.readouterr().err
        assert (tmp_path / "mine.png").read_text() == "the user's"
