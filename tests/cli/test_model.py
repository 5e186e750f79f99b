"""`mofa3d model ...` as its users type it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_model import make_tiny_model

from mofa3d import models
from mofa3d.cli import main
from mofa3d.cli.model import describe
from mofa3d.models.sanity import Action, Sanity
from mofa3d.morphable_model import MorphableModel, read_model, save_model
from mofa3d.pictures.contact_sheet import CAPTION_HEIGHT


@pytest.fixture
def tiny(tmp_path) -> Path:
    """The tiny model in a file."""
    save_model(make_tiny_model(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def run(capsys):
    """Exit status, standard output and standard error of `mofa3d model` with some arguments."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = main.main(["model", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(run):
    """The single line that `mofa3d model` says about wrong arguments."""

    def refused(*arguments: str | Path) -> str:
        status, out, errors = run(*arguments)
        assert (status, out) == (2, "")
        [line] = errors.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return refused


class TestInfo:
    def test_text(self, tiny_model):
        found = Sanity(
            face_width=139.96,
            eye_distance=62.04,
            samples=256,
            eye_distance_mean=50.25,
            eye_distance_sd=2.5,
            eye_distance_inside=0.031,
            deviation=3.14159,
            outside=0.0123,
            actions={
                "opens the mouth": Action(3, -1, 12.34),
                "closes the lids": Action(0, 1, 4.0),
                "raises the brows": Action(None, 1, 0.0),
            },
            inner_lips=12.0,
        )
        assert describe(tiny_model, found).splitlines() == [
            "name              tiny",
            "vertices          144, 64 of them frontal",
            "triangles         242",
            "code sizes        shape 5, expression 4, reflectance 6",
            "texture           coordinates for every vertex",
            "units             millimetres; display RGB, 0 to 1",
            "face width        140.0 mm from landmark 0 to 16",
            "eye distance      62.0 mm; of 256 random faces 50.2 ± 2.5 mm, 3% within 55 to 71",
            "deviation         3.14 mm rms of frontal vertices of random faces",
            "opens the mouth   column 3 at -2 sigma, 12.3 mm",
            "closes the lids   column 0 at +2 sigma, 4.0 mm",
            "raises the brows  no column, 0.0 mm",
            "reflectance       1.2% of the random faces' colors outside 0 to 1",
            f"fingerprint       {tiny_model.fingerprint()}",
            f"warning: {found.complaints()[0]}",
            "warning: no expression raises the brows: the model has none",
        ]
        assert found.complaints()[0].startswith(
            "the eyes of random faces are 50.2 ± 2.5 mm apart, 3% of them within 55"
        )

    def test_command(self, run, tiny):
        status, out, errors = run("info", tiny)
        assert (status, errors) == (0, "")
        assert out.startswith("name              tiny\nvertices          144, 64 of them frontal\n")
        assert f"\nfingerprint       {make_tiny_model().fingerprint()}\n" in out
        assert "\nwarning: the face is " in out  # its landmarks are anywhere

    def test_default_model(self, run, default_model):
        status, out, _ = run("info", "makehuman")
        assert status == 0
        assert f"vertices          {len(default_model.mean_shape)}, " in out
        assert "code sizes        shape 80, expression 64, reflectance 80\n" in out
        assert "warning: the eyes" not in out
        assert "warning: random faces" not in out
        assert "warning: no expression" not in out


class TestPreview:
    def test_sheet(self, run, tiny, tmp_path):
        out = tmp_path / "pictures" / "tiny.png"
        status, said, _ = run("preview", tiny, "--out", out, "--count", "3", "--image-size", "50")
        assert (status, said) == (0, f"{out}\n")
        # Ten captioned rows of three pictures, of which the first is as wide as they are with four larger ones.
        assert Image.open(out).size == (3 * 40, 10 * CAPTION_HEIGHT + 37 + 9 * 50)

    def test_samples_only(self, run, tiny, tmp_path):
        sheets = []
        for seed in ("3", "3", "4"):
            command = ("preview", tiny, "--samples-only", "--seed", seed, "--count", "2", "--image-size", "50")
            assert run(*command, "--force", "--out", tmp_path / "samples.png")[0] == 0
            sheets.append(np.asarray(Image.open(tmp_path / "samples.png")))
        assert sheets[0].shape == (3 * (CAPTION_HEIGHT + 50), 2 * 40, 3)
        assert np.array_equal(sheets[0], sheets[1])
        assert not np.array_equal(sheets[0], sheets[2])

    def test_mistakes(self, refused, tiny, tmp_path):
        assert refused("preview", tiny, "--out", tmp_path / "a.jpg").endswith("give a name that ends with .png")
        assert not list(tmp_path.glob("a*"))


class TestConvert:
    def test_round_trip(self, run, tiny, tmp_path):
        out = tmp_path / "models" / "copy.safetensors"
        model = make_tiny_model()
        status, said, _ = run("convert", tiny, "--out", out)
        assert (status, said) == (0, f"{out} (0.0 MB, fingerprint {model.fingerprint()})\n")
        again = read_model(out)
        assert again.fingerprint() == model.fingerprint()
        assert again.name == "tiny"
        assert [path.name for path in out.parent.iterdir()] == ["copy.safetensors"]  # no temporary file stays

    def test_model_of_a_source(self, run, tmp_path, monkeypatch):
        asked = []

        def load_model(name, *, path=None, **options) -> MorphableModel:
            asked.append((name, path, options))
            return make_tiny_model(sizes=(2, 1, 3))

        monkeypatch.setattr(models, "MODEL_NAMES", ("makehuman", "basel"))
        monkeypatch.setattr(models, "load_model", load_model)
        out = tmp_path / "basel.safetensors"
        assert run("convert", "basel", "--path", tmp_path / "basel.mat", "--out", out)[0] == 0
        assert asked == [("basel", tmp_path / "basel.mat", {})]
        assert read_model(out).fingerprint() == make_tiny_model(sizes=(2, 1, 3)).fingerprint()

    def test_does_not_overwrite(self, run, refused, tiny, tmp_path):
        out = tmp_path / "other.safetensors"
        save_model(make_tiny_model(sizes=(1, 1, 1)), out)
        before = out.read_bytes()
        message = f"{out} already exists; give another --out, or --force to replace it"
        assert refused("convert", tiny, "--out", out) == message
        assert out.read_bytes() == before
        assert run("convert", tiny, "--out", out, "--force")[0] == 0
        assert read_model(out).fingerprint() == make_tiny_model().fingerprint()

    def test_onto_itself(self, run, refused, tiny):
        before = tiny.read_bytes()
        assert "already exists" in refused("convert", tiny, "--out", tiny)
        assert run("convert", tiny, "--out", tiny, "--force")[0] == 0
        assert tiny.read_bytes() == before

    def test_only_writes_safetensors(self, refused, tiny, tmp_path):
        assert refused("convert", tiny, "--out", tmp_path / "tiny.pkl").startswith(
            f"--out {tmp_path / 'tiny.pkl'}: face models are written as .safetensors"
        )


class TestWhichModel:
    def test_unknown_name(self, refused):
        assert refused("info", "clay").startswith("unknown face model 'clay': give one of makehuman")

    def test_missing_file(self, refused, tmp_path):
        missing = tmp_path / "nowhere.safetensors"
        assert refused("info", missing) == f"there is no file {missing}; check the path"
        assert refused("info", "makehuman", "--path", missing) == f"there is no file {missing}; check the path"

    def test_file_of_another_kind(self, refused, tmp_path):
        (tmp_path / "01_MorphableModel.mat").write_bytes(b"MATLAB")
        said = refused("info", tmp_path / "01_MorphableModel.mat")
        assert "01_MorphableModel.mat is not a .safetensors file; give the name of its face model" in said
        assert said.endswith("and the file as --path")

    @pytest.mark.parametrize("content", [b"", b"no model", bytes(1000)])
    def test_damaged_file(self, refused, tmp_path, content):
        (tmp_path / "bad.safetensors").write_bytes(content)
        assert "bad.safetensors is not a mofa3d model file" in refused("info", tmp_path / "bad.safetensors")

    def test_file_and_path(self, refused, tiny):
        assert refused("info", tiny, "--path", tiny).startswith(f"--path {tiny} only applies to a named model")

    def test_nothing_is_written_for_a_model_that_cannot_be_read(self, refused, tmp_path):
        refused("convert", tmp_path / "nowhere.safetensors", "--out", tmp_path / "out.safetensors")
        assert not list(tmp_path.iterdir())

    def test_mistakes_of_a_fresh_process(self, tmp_path):
        command = [sys.executable, "-m", "mofa3d", "model", "info", str(tmp_path / "nowhere.safetensors")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == f"error: there is no file {tmp_path / 'nowhere.safetensors'}; check the path\n"


def test_command_line_answers_without_what_only_the_commands_need():
    program = "import sys, mofa3d.cli.main; print({'renderers', 'numba', 'dlib', 'anny'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "set()"
