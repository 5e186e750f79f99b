"""`mofa3d edit` as its users type it, with the encoder that comes with the package."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import tyro
from PIL import Image
from programs import ROOT
from tiny_runs import make_tiny_run
from tyro.conf import OmitArgPrefixes

from mofa3d import export
from mofa3d.cli import main
from mofa3d.cli.edit import Edit
from mofa3d.cli.main import Command
from mofa3d.data.photo import read_photo
from mofa3d.data.yaw import yaw_of
from mofa3d.editing import codes
from mofa3d.export import read_code
from mofa3d.files.record import RECORD
from mofa3d.fitting.delighting import front_light
from mofa3d.models.expression_units import expression_units
from mofa3d.reconstruction.reconstructor import Reconstructor, lay_over
from mofa3d.renderers import make_renderer


@pytest.fixture(scope="module")
def reconstructor(default_model) -> Reconstructor:
    return Reconstructor.open()


@pytest.fixture(scope="module")
def found(reconstructor, portrait):
    return reconstructor(read_photo(portrait))[0]


@pytest.fixture
def run(tmp_path, capsys, portrait):
    """The edited picture and code for some options; by default of the portrait."""

    def run(*options: str | Path, source: Path = portrait, name: str = "out"):
        status = main.main(["edit", str(source), "--force", "--out", str(tmp_path / name), *map(str, options)])
        assert (status, capsys.readouterr().out) == (0, f"{source} -> {tmp_path / name}\n")
        assert {path.name for path in (tmp_path / name).iterdir()} == {"edited.png", "code.json", "mesh.glb", RECORD}
        return read_photo(tmp_path / name / "edited.png"), read_code(tmp_path / name / "code.json")[0]

    return run


@pytest.fixture
def refused(capsys):
    """The single line that is said about wrong options."""

    def refused(*arguments: str | Path) -> str:
        assert main.main(["edit", *map(str, arguments)]) == 2
        out, errors = capsys.readouterr()
        assert out == ""
        [line] = errors.splitlines()
        return line.removeprefix("error: ")

    return refused


@pytest.mark.slow
class TestPictures:
    def test_nothing_to_edit(self, run, portrait, found):
        photo = read_photo(portrait)
        picture, code = run()
        assert np.array_equal(picture, photo)
        assert torch.equal(code.to_vector(), found.code.to_vector())
        picture, _ = run("--no-keep-detail", name="drawn")
        assert np.array_equal(picture, lay_over(photo, found, make_renderer("cpu")))

    def test_pose_and_expression(self, run, tmp_path, default_model, found):
        picture, code = run("--yaw", "15", "--move", "5", "0", "0", "--neutral", "--expression", "jawOpen=0.5", "smile")
        assert float(yaw_of(code.rotation) - yaw_of(found.code.rotation)) == pytest.approx(15, abs=1.5)
        units = expression_units(default_model)
        assert torch.allclose(code.expression[0], 0.5 * units["jawOpen"] + units["smile"], atol=1e-5)
        vertices = default_model.geometry(code.shape, code.expression)[0].numpy() / 1000
        mesh = trimesh.load(tmp_path / "out" / "mesh.glb", force="mesh", process=False)
        np.testing.assert_allclose(mesh.bounds, [vertices.min(axis=0), vertices.max(axis=0)], atol=1e-5)
        # The result is a reconstruction of its own picture, and can be edited again.
        again, more = run("--roll", "5", source=tmp_path / "out", name="again")
        assert torch.allclose(more.expression, code.expression)
        assert np.abs(again.astype(int) - picture).max() > 30

    def test_light_and_skin(self, run, tmp_path, reconstructor, found):
        panorama = np.full((16, 32, 3), 20, np.uint8)
        panorama[6:10, 6:10] = 255
        Image.fromarray(panorama).save(tmp_path / "left.png")
        picture, code = run("--environment", tmp_path / "left.png", "--exposure", "0.9", "--lighten", "-0.05")
        before, after = (front_light(reconstructor.decode(c)) for c in (found.code, code))
        assert float(after) == pytest.approx(0.9 * float(before), rel=1e-3)
        face = picture[150:320, 190:340].astype(float).mean(axis=(0, 2))
        assert face[:40].mean() > 1.3 * face[-40:].mean()
        expected = codes.lighten(found.code, reconstructor.decode.model, -0.05)
        assert torch.allclose(code.reflectance, expected.reflectance, atol=1e-5)

    def test_from_another_face(self, run, tmp_path, found):
        run("--neutral", "--light-direction", "1", "0", "0.5", "--lighten", "0.1", name="other")
        other, _ = read_code(tmp_path / "other" / "code.json")
        options = ("--expression-from", "--light-from", "--reflectance-from")
        _, code = run(*(part for option in options for part in (option, tmp_path / "other")), name="both")
        for block in ("expression", "illumination", "reflectance"):
            assert torch.allclose(getattr(code, block), getattr(other, block), atol=1e-5)
            assert not torch.allclose(getattr(code, block), getattr(found.code, block), atol=1e-2)
        assert torch.equal(code.shape, found.code.shape)


def test_list_of_units(capsys, default_model):
    assert main.main(["edit", "--units"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "frown = 1 mouthFrownLeft + 1 mouthFrownRight"
    assert "jawOpen" in lines
    assert len(lines) == len(expression_units(default_model))


class TestNothingIsOverwritten:
    """With the tiny encoder, whose faces are drawn at once."""

    @pytest.fixture
    def edit(self, tmp_path, portrait, capsys):
        trained = make_tiny_run(tmp_path / "run")

        def edit(*options: str | Path, source: Path = portrait) -> tuple[int, str]:
            command = ["edit", str(source), "--checkpoint", str(trained), *map(str, options)]
            status = main.main(command)
            said = capsys.readouterr()
            return status, said.err.removeprefix("error: ").strip() or said.out.strip()

        return edit

    def contents(self, folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def test_the_last_edit_stays_unless_asked(self, edit, tmp_path):
        out = tmp_path / "edited"
        assert edit("--out", out, "--yaw", "5")[0] == 0
        first = self.contents(out)
        said = f"{out} already contains an edit; choose another --out, or --force to replace it"
        assert edit("--out", out, "--yaw", "9") == (2, said)
        assert self.contents(out) == first
        assert edit("--out", out, "--yaw", "9", "--force")[0] == 0
        assert set(self.contents(out)) == set(first)
        assert self.contents(out)["code.json"] != first["code.json"]

    def test_folders_with_other_files_are_refused(self, edit, tmp_path, portrait):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "mesh.glb").write_text("the user's")
        for options in ((), ("--force",)):
            status, said = edit("--out", tmp_path / "mine", *options)
            assert (status, said) == (
                2,
                f"{tmp_path / 'mine'} contains files that were not written by mofa3d; choose another --out",
            )
        assert self.contents(tmp_path / "mine") == {"mesh.glb": b"the user's"}
        command = ["reconstruct", str(portrait), "--out", str(tmp_path / "faces"), "--formats"]
        assert main.main([*command, "--checkpoint", str(tmp_path / "run")]) == 0
        before = self.contents(tmp_path / "faces" / "grace_hopper")
        status, said = edit("--out", tmp_path / "faces" / "grace_hopper", "--force")
        assert status == 2
        assert "contains a reconstruction, which an edit would replace; choose another --out" in said
        assert self.contents(tmp_path / "faces" / "grace_hopper") == before

    def test_links_are_not_followed(self, edit, tmp_path):
        (tmp_path / "precious").write_text("precious")
        out = tmp_path / "edited"
        assert edit("--out", out)[0] == 0
        (out / "edited.png").unlink()
        (out / "edited.png").symlink_to(tmp_path / "precious")
        assert edit("--out", out, "--force")[0] == 0
        assert (tmp_path / "precious").read_text() == "precious"
        assert not (out / "edited.png").is_symlink()

    def test_an_edit_that_fails_leaves_the_last_one_whole(self, edit, tmp_path, monkeypatch):
        out = tmp_path / "edited"
        assert edit("--out", out)[0] == 0
        before = self.contents(out)

        def full(*rest) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(export, "write_mesh", full)
        status, said = edit("--out", out, "--force", "--yaw", "9")
        assert (status, "No space left" in said) == (2, True)
        assert self.contents(out) == before
        assert edit("--out", tmp_path / "new")[0] == 2
        assert {path.name for path in tmp_path.iterdir()} == {"run", "edited"}

    def test_a_moved_edit_and_a_moved_reconstruction_are_opened(self, edit, tmp_path, portrait, monkeypatch):
        (tmp_path / "work").mkdir()
        shutil.copyfile(portrait, tmp_path / "work" / "me.jpg")
        monkeypatch.chdir(tmp_path / "work")
        assert main.main(["reconstruct", "me.jpg", "--out", "faces", "--formats", "--checkpoint", "../run"]) == 0
        assert edit("--out", "edited", source=Path("me.jpg"))[0] == 0
        monkeypatch.chdir(tmp_path)
        assert edit("--out", "1", source=Path("work/faces/me")) == (0, "work/faces/me -> 1")  # another folder
        shutil.move("work", "moved")
        status, said = edit("--out", "2", source=Path("moved/faces/me"))
        [first, note] = said.splitlines()
        assert (status, first) == (0, "moved/faces/me -> 2")
        moved, before = tmp_path / "moved" / "me.jpg", tmp_path / "work" / "me.jpg"
        assert note == f"note: the photograph is {moved}, no longer {before}"
        assert np.array_equal(read_photo(Path("1/edited.png")), read_photo(Path("2/edited.png")))
        assert edit("--out", "3", source=Path("moved/edited"))[0] == 0
        moved.unlink()
        status, said = edit("--out", "4", source=Path("moved/faces/me"))
        assert status == 0
        assert said.endswith(f"; only the crop of 120×120 pixels in {Path('moved/faces/me/panels.png')} is used")
        assert read_photo(Path("4/edited.png")).shape == (120, 120, 3)


class TestDocumentation:
    TEXT = (ROOT / "docs" / "editing.md").read_text(encoding="utf-8")

    def test_commands_are_understood(self):
        commands = re.findall(r"^mofa3d (edit .*)$", self.TEXT, flags=re.MULTILINE)
        assert len(commands) > 4
        for command in commands:
            tyro.cli(OmitArgPrefixes[Command], args=shlex.split(command))

    def examples(self) -> list[str]:
        return re.findall(r"```python\n(.*?)```", self.TEXT, flags=re.DOTALL)

    @pytest.mark.slow
    def test_example_with_a_photograph_runs(self, default_model, portrait, tmp_path, monkeypatch):
        shutil.copy(portrait, tmp_path / "photo.jpg")
        monkeypatch.chdir(tmp_path)
        names: dict = {}
        exec(compile(self.examples()[0], "editing.md", "exec"), names)
        assert np.array_equal(read_photo(tmp_path / "edited.png"), names["edited"].image)
        yaws = [float(yaw_of(names[name].code.rotation)) for name in ("edited", "turned")]
        assert yaws[1] - yaws[0] == pytest.approx(20, abs=1.5)

    def test_example_runs(self, default_model):
        _, example = self.examples()
        names: dict = {}
        exec(compile(example, "editing.md", "exec"), names)
        assert float(yaw_of(names["code"].rotation)) == pytest.approx(20, abs=1e-3)
        assert float(names["code"].expression.norm()) > 1

    def test_every_option_is_explained(self):
        options = {f"--{field.name.replace('_', '-')}" for field in fields(Edit)} - {"--input", "--keep-detail"}
        assert {option for option in options if f"`{option}" not in self.TEXT} == set()
        assert "`--no-keep-detail`" in self.TEXT


class TestMistakes:
    def test_what_is_missing(self, refused, portrait):
        assert refused(portrait) == "give a photograph and --out FOLDER, or --units to list the expression units"

    def test_unit(self, refused, portrait, tmp_path, default_model):
        said = refused(portrait, "--out", tmp_path / "out", "--expression", "jawOpne=1")
        assert said.startswith("there is no expression unit 'jawOpne'; did you mean jawOpen")
        assert not (tmp_path / "out").exists()

    def test_lights_exclude_each_other(self, refused, portrait, tmp_path, default_model):
        options = ("--light-direction", "1", "0", "0", "--environment", "map.png")
        said = refused(portrait, "--out", tmp_path / "out", *options)
        assert said == "--light-direction and --environment cannot be combined; choose one light"

    def test_files(self, refused, portrait, tmp_path, default_model):
        out = ("--out", tmp_path / "out")
        assert refused(tmp_path / "none.jpg", *out).startswith("there is no photograph at")
        assert refused(tmp_path, *out).startswith("there is no semantic code at")
        assert refused(portrait, *out, "--light-from", tmp_path / "none.json").startswith("there is no semantic code")
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "black.png")
        assert refused(tmp_path / "black.png", *out).startswith(f"{tmp_path / 'black.png'}: no face was found")
        Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(tmp_path / "dark.png")
        said = refused(portrait, *out, "--environment", tmp_path / "dark.png")
        assert said == "the light leaves the face in the dark; turn it, or give another one"
        said = refused(portrait, *out, "--checkpoint", tmp_path / "nowhere")
        assert said.startswith(f"there is no checkpoint at {tmp_path / 'nowhere'}; give the folder of a training run")
        said = refused(portrait, "--out", tmp_path / "dark.png")
        assert said.startswith(f"{tmp_path / 'dark.png'} already exists and is not a folder; move it away")
        assert refused(portrait, *out, "--expression-neutral", portrait).startswith(
            "--expression-neutral goes with --expression-from"
        )
