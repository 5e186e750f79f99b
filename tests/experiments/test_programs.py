"""The programs as their users run them: a small training, its reconstructions, and one line about every mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tiny_model import make_tiny_model
from training_program import config, run, train_mofa

from mofa3d.cli.reconstruct import Reconstruct
from mofa3d.encoders.checkpoint import open_run
from mofa3d.environment import instruction_sets
from mofa3d.errors import SlowerPathWarning
from mofa3d.files.locks import alone
from mofa3d.morphable_model import MorphableModel
from mofa3d.semantic_code import CodeSizes


@pytest.fixture(scope="module")
def trained(workplace) -> Path:
    """The folder of a finished training."""
    train_mofa.main(config(workplace))
    return workplace / "run"


class TestTraining:
    def test_everything_is_written(self, trained):
        names = {path.name for path in trained.iterdir()}
        assert {"checkpoint.pt", "config.json", "metrics.jsonl", "report.md", "report.json"} <= names
        assert {"curves.png", "faces.png"} <= names
        assert {f"face_{i}.{suffix}" for i in range(3) for suffix in ("glb", "ply")} <= names
        assert {name for name in names if name.startswith(".")} <= {".lock", ".mofa3d"}

    def test_report_says_what_was_done(self, trained):
        content = json.loads((trained / "report.json").read_text(encoding="utf-8"))
        held = content["after"]["all"]["images"]
        assert 3 <= held < 12
        assert content["facts"]["data"] == f"24 synthetic faces, {held} held out"
        assert content["facts"]["training"].startswith("20 iterations of 4 in ")
        assert content["facts"]["encoder"] == "mobilenet_v2 at 32 px"
        for stage in ("before", "after"):
            row = content[stage]["all"]
            assert row["images"] == held
            assert all(row[name] > 0 for name in ("photometric", "landmark", "area", "geometric"))
        assert content["before"] != content["after"]
        text = (trained / "report.md").read_text(encoding="utf-8")
        photometric = [format(content[stage]["all"]["photometric"], ".3f") for stage in ("before", "after")]
        assert f"| all | {held} | {photometric[0]} → {photometric[1]} |" in text
        assert "(face_2.glb)" in text

    def test_record_says_how_it_was_done(self, trained):
        record = json.loads((trained / "config.json").read_text(encoding="utf-8"))
        assert record["config"]["renderer"] == "vertex"
        assert record["training"]["iterations"] == 20
        assert record["training"]["minutes"] == 0  # a number of iterations means just that
        assert record["description"]["fingerprint"] == make_tiny_model().fingerprint()
        assert record["commit"]

    def test_log_and_pictures(self, trained):
        log = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
        assert [line["iteration"] for line in log] == [10, 20]
        assert all({"photometric", "landmark_error", "area_ratio", "loss"} <= line.keys() for line in log)
        held = json.loads((trained / "report.json").read_text(encoding="utf-8"))["after"]["all"]["images"]
        # Two columns of five pictures.
        assert Image.open(trained / "faces.png").size == (2 * 5 * 240, (held + 1) // 2 * 240)
        assert len(trimesh.load_mesh(trained / "face_0.glb", process=False).vertices) == 144

    def test_resumed_training_goes_on_and_reports_again(self, workplace, trained):
        out = workplace / "resumed"
        shutil.copytree(trained, out)
        train_mofa.main(config(workplace, out=out, iterations=30, resume=True))
        log = [json.loads(line)["iteration"] for line in (out / "metrics.jsonl").read_text().splitlines()]
        assert log == [10, 20, 30]
        content = json.loads((out / "report.json").read_text(encoding="utf-8"))
        assert content["facts"]["training"].startswith("30 iterations")

    @pytest.mark.usefixtures("colors_of_few_vertices")
    def test_photographs_in_memory_and_fitted_colors(self, workplace, tmp_path, monkeypatch):
        """As on a GPU, whose memory they fit."""
        monkeypatch.setattr(train_mofa, "fits_in_memory", lambda size, device: size == 18 * 3 * 240**2)
        monkeypatch.setattr(train_mofa, "batches", None)
        out = tmp_path / "out"
        changes = {"fitted_photometric": 0.5, "freeze_geometry": 0, "no_landmarks": True}
        train_mofa.main(config(workplace, out=out, iterations=10, **changes))
        line = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
        # What the encoder says of colors is nothing yet.
        assert line["fitted_photometric"] < line["photometric"] - 0.01
        terms = ("photometric", 1.92), ("regularizer", 3e-4), ("coloured_light", 0.5), ("fitted_photometric", 0.5)
        assert line["loss"] == pytest.approx(sum(weight * line[name] for name, weight in terms), rel=1e-4)

    def test_bfloat16_where_nothing_multiplies_it_is_recorded_as_float32(self, workplace, tmp_path, monkeypatch):
        def begin(encoder, decode, render, stream, settings, *others):
            raise InterruptedError(f"bfloat16: {settings.bfloat16}")

        monkeypatch.setattr(instruction_sets, "multiplies_bfloat16", lambda: False)
        monkeypatch.setattr(train_mofa, "train", begin)
        with (
            pytest.warns(SlowerPathWarning, match="the encoder is trained in float32"),
            pytest.raises(InterruptedError, match="bfloat16: False"),
        ):
            train_mofa.main(config(workplace, out=tmp_path / "out", bfloat16=True))
        record = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
        assert record["training"]["bfloat16"] is False

    def test_training_that_is_there_already(self, workplace, trained):
        before = (trained / "checkpoint.pt").read_bytes()
        with pytest.raises(ValueError, match="run already contains a training; pass --resume to continue it, or"):
            train_mofa.main(config(workplace))
        with alone(trained), pytest.raises(ValueError, match="another process is writing into"):
            train_mofa.main(config(workplace, resume=True))
        assert (trained / "checkpoint.pt").read_bytes() == before

    def test_report_on_a_few_images(self, workplace, tmp_path):
        train_mofa.main(config(workplace, out=tmp_path / "out", iterations=1, report_images=2, freeze_geometry=7))
        content = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
        assert content["after"]["all"]["images"] == 2
        assert re.fullmatch("24 synthetic faces, [3-9] held out, 2 of them measured", content["facts"]["data"])
        record = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
        assert record["training"]["freeze_geometry"] == 7

    def test_folder_of_photographs(self, workplace, portrait, tmp_path):
        # Enough people that some are held out and some are not, which the hashes of their names decide.
        (tmp_path / "photos").mkdir()
        pixels = np.asarray(Image.open(portrait)).astype(float)
        y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
        for number in range(8):  # lit from eight sides, for copies would be left out
            lamp = 0.7 + 0.3 * (x * np.cos(number * np.pi / 4) + y * np.sin(number * np.pi / 4))
            lit = (pixels * lamp[..., None]).clip(0, 255).astype(np.uint8)
            Image.fromarray(lit).save(tmp_path / "photos" / f"Person{number}_0001.png")
        (tmp_path / "photos" / "broken.jpg").write_text("no image")
        out = tmp_path / "out"
        train_mofa.main(config(workplace, data=str(tmp_path / "photos"), held_out=0.4, iterations=2, out=out))
        content = json.loads((out / "report.json").read_text(encoding="utf-8"))
        held = content["after"]["all"]["images"]
        assert 0 < held < 8
        expected = rf"{tmp_path / 'photos'}: [4-8] faces, {held} held out"  # some lamps are no different to the hash
        assert re.fullmatch(expected, content["facts"]["data"])
        assert content["facts"]["left out"].startswith("1 photographs; ")
        assert "broken.jpg" in (out / "failures.csv").read_text(encoding="utf-8")
        assert content["after"]["photos"]["images"] == held  # the row of the only source
        assert "geometric" not in content["after"]["all"]  # nobody knows the true geometry


OTHER_SIZES = (2, 3, 4)


@pytest.fixture(scope="module")
def trained_other(workplace):
    """A finished training with ``--model ict --model-path FOLDER``, whose files a stand-in reads."""
    source = workplace / "ict files"
    source.mkdir()
    asked = []

    def load_source(path, **options) -> MorphableModel:
        asked.append((path, options))
        return make_tiny_model(sizes=OTHER_SIZES)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mofa3d.models.ict.load", load_source)
        out = workplace / "other"
        train_mofa.main(config(workplace, model="ict", model_path=str(source), iterations=2, out=out))
    assert asked == [(str(source), {})]
    return out


class TestOtherModel:
    """A model of a named source, whose code has other sizes than the default's and the tiny one's."""

    def test_code_sizes_follow_the_model(self, trained_other, monkeypatch):
        monkeypatch.setattr("mofa3d.models.ict.load", lambda path: make_tiny_model(sizes=OTHER_SIZES))
        encoder, decode = open_run(trained_other)
        assert decode.model.sizes == CodeSizes(*OTHER_SIZES)
        assert encoder(torch.rand(1, 3, 240, 240)).shape == (1, sum(OTHER_SIZES) + 33)
        description = json.loads((trained_other / "config.json").read_text(encoding="utf-8"))["description"]
        assert description["model"] == "ict"
        assert Path(description["model_path"]).name == "ict files"
        assert description["fingerprint"] == make_tiny_model(sizes=OTHER_SIZES).fingerprint()

    def test_other_numbers_from_the_same_source_are_refused(self, workplace, trained_other, monkeypatch):
        other = make_tiny_model(sizes=OTHER_SIZES)
        other.shape_basis[0, 0, 0] += 0.01
        monkeypatch.setattr("mofa3d.models.ict.load", lambda path: other)
        with pytest.raises(ValueError, match="trained for another version of the face model 'ict'"):
            open_run(trained_other)
        settings = {"model": "ict", "model_path": str(workplace / "ict files"), "iterations": 3, "out": trained_other}
        with pytest.raises(ValueError, match="fingerprint"):
            train_mofa.main(config(workplace, resume=True, **settings))


class TestReconstruction:
    def test_with_the_encoder_of_a_training(self, trained, portrait, tmp_path):
        assert Reconstruct((str(portrait),), tmp_path, checkpoint=trained)() == str(tmp_path / "grace_hopper")
        content = json.loads((tmp_path / "grace_hopper" / "code.json").read_text(encoding="utf-8"))
        assert content["photo"] == str(portrait)
        assert content["crop"]["scale"] > 0
        model: MorphableModel = make_tiny_model()
        shape, expression = torch.tensor([content["shape"]]), torch.tensor([content["expression"]])
        mesh = trimesh.load_mesh(tmp_path / "grace_hopper" / "mesh.ply", process=False)
        np.testing.assert_allclose(mesh.vertices, model.geometry(shape, expression)[0], atol=1e-3)

    def test_missing_checkpoint_on_standard_error(self, portrait, tmp_path):
        code, errors, everything = run(
            "-m", "mofa3d", "reconstruct", portrait, "--checkpoint", tmp_path / "nowhere", "--out", tmp_path / "out"
        )
        assert code == 2
        assert len(errors) == 1
        assert f"there is no checkpoint at {tmp_path / 'nowhere'}" in errors[0]
        assert "Traceback" not in everything
        assert not (tmp_path / "out").exists()

    def test_unreadable_photograph_on_standard_error(self, trained, tmp_path):
        (tmp_path / "text.jpg").write_text("no image")
        code, errors, everything = run(
            "-m", "mofa3d", "reconstruct", tmp_path / "text.jpg", "--checkpoint", trained, "--out", tmp_path / "out"
        )
        assert code == 2
        assert errors == [
            f"error: {tmp_path / 'text.jpg'} is not an image that can be read; give a JPEG, PNG, WebP or BMP file",
            f"error: 1 could not be reconstructed, 0 could; the reasons are in {tmp_path / 'out' / 'failures.csv'}",
        ]
        assert "Traceback" not in everything
