"""Batches of files: what is done, done again, skipped, refused and listed; faces and their files are stand-ins."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa3d.batch_reconstruction import RECORD, BatchReconstruction, find_inputs
from mofa3d.camera import Camera
from mofa3d.data.crop import CropTransform
from mofa3d.data.detect import FaceBox
from mofa3d.decoder import Decoder
from mofa3d.inference import Reconstruction
from mofa3d.semantic_code import SemanticCode


@pytest.fixture
def photos(tmp_path) -> Path:
    """The red byte of a photograph says how many faces it shows."""
    for name, faces in {"a.png": 1, "b.png": 3, "sub/A.png": 1, "none.png": 0}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (faces, 0, 0)).save(path)
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    (tmp_path / "photos" / "film.mp4").write_bytes(b"frames")
    return tmp_path / "photos"


class Work:
    """Counts what is asked of it."""

    def __init__(self, model) -> None:
        code = SemanticCode.from_vector(torch.zeros(1, model.sizes.total), model.sizes)
        scene = Decoder(model, Camera(16))(code)
        self.face = Reconstruction(FaceBox(2, 2, 2, 9), torch.zeros(3, 16, 16), CropTransform(0, 0, 1), code, scene)
        self.written: list[tuple[str, str]] = []

    def faces(self, photo: np.ndarray) -> list[Reconstruction]:
        if not photo[0, 0, 0]:
            raise ValueError("no face was found")
        return [self.face] * int(photo[0, 0, 0])

    def write(self, folder: Path, name: str, photo: np.ndarray, found: Reconstruction) -> None:
        self.written.append((folder.name, Path(name).name))
        (folder / "code.json").write_text(name)

    def film(self, path: Path, folder: Path) -> None:
        self.written.append((folder.name, path.name))
        (folder / "codes.json").write_text("[]")

    def run(self, inputs: list, out: Path, **about):
        self.written.clear()
        return BatchReconstruction(self.faces, self.write, self.film, about)(inputs, out)


@pytest.fixture
def work(tiny_model) -> Work:
    return Work(tiny_model)


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}


class TestBatch:
    def test_every_face_has_its_folder(self, work, photos, tmp_path, capsys):
        done = work.run([photos], tmp_path / "out")
        assert [folder.name for folder in done.written] == ["a", "b", "film", "A-2"]
        assert files(tmp_path / "out") == {
            "a/code.json", f"a/{RECORD}", "b/face_1/code.json", "b/face_2/code.json", "b/face_3/code.json",
            f"b/{RECORD}", "film/codes.json", f"film/{RECORD}", "A-2/code.json", f"A-2/{RECORD}", "failures.csv",
        }  # fmt: skip
        with open(tmp_path / "out" / "failures.csv", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[1] == [str(photos / "none.png"), "no face was found"]
        assert rows[2][0] == str(photos / "text.jpg")
        assert [failure.photo for failure in done.failures] == [row[0] for row in rows[1:]]
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert errors[0] == f"error: {photos / 'none.png'}: no face was found"
        assert errors[1].startswith(f"error: {photos / 'text.jpg'} is not an image that can be read")

    def test_what_is_done_is_skipped(self, work, photos, tmp_path):
        work.run([photos], tmp_path / "out")
        done = work.run([photos], tmp_path / "out")
        assert (work.written, done.written, done.skipped, len(done.failures)) == ([], [], 4, 2)

    def test_done_again_where_something_changed(self, work, photos, tmp_path):
        out = tmp_path / "out"
        work.run([photos], out)
        assert len(work.run([photos], out, refine=True).written) == 4  # other options
        (out / "a" / "code.json").unlink()
        (out / "film" / RECORD).write_text("[")
        Image.new("RGB", (5, 5), (1, 0, 0)).save(photos / "sub" / "A.png")
        work.run([photos], out, refine=True)
        assert work.written == [("a", "a.png"), ("film", "film.mp4"), ("A-2", "A.png")]

    def test_interrupted_one_is_done_again(self, work, photos, tmp_path):
        def interrupted(folder: Path, *rest) -> None:
            (folder / "code.json").write_text("half")
            raise KeyboardInterrupt

        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            BatchReconstruction(work.faces, interrupted, work.film, {})([photos / "a.png"], out)
        assert files(out) == {"a/code.json"}
        work.run([photos / "a.png"], out)
        assert json.loads((out / "a" / RECORD).read_text())["files"] == ["code.json"]
        assert (out / "a" / "code.json").read_text() == str(photos / "a.png")

    def test_nothing_of_the_photograph_before_is_left(self, work, photos, tmp_path):
        out = tmp_path / "out"
        work.run([photos / "b.png"], out)
        (out / "b" / "mesh.obj").write_text("old")
        (out / "b" / "notes.txt").write_text("the user's")
        Image.new("RGB", (4, 4), (2, 0, 0)).save(photos / "b.png")
        work.run([photos / "b.png"], out)
        assert files(out) == {"b/face_1/code.json", "b/face_2/code.json", "b/notes.txt", f"b/{RECORD}"}

    def test_failures_are_forgotten_when_there_are_none(self, work, photos, tmp_path):
        work.run([photos], tmp_path / "out")
        work.run([photos / "a.png"], tmp_path / "out")
        assert not (tmp_path / "out" / "failures.csv").exists()

    def test_members_of_an_archive(self, work, photos, tmp_path):
        with tarfile.open(tmp_path / "shard.tar", "w") as archive:
            for name in ("../../x.png", "/etc/y.png"):
                content = (photos / "a.png").read_bytes()
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        out = tmp_path / "deep" / "out"
        assert [folder.name for folder in work.run([tmp_path / "shard.tar"], out).written] == ["x", "y"]
        assert (out / "x" / "code.json").read_text() == f"{tmp_path / 'shard.tar'}#../../x.png"
        assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}

    def test_links_do_not_lead_out(self, work, photos, tmp_path):
        out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
        out.mkdir()
        elsewhere.mkdir()
        (elsewhere / "precious").write_text("precious")
        (out / "a").symlink_to(elsewhere)
        (out / "b").mkdir()
        (out / "b" / "face_1").symlink_to(elsewhere)
        (out / "film").write_text("a file")
        (out / "failures.csv").symlink_to(elsewhere / "precious")
        done = work.run([photos], out)
        assert {Path(failure.photo).name for failure in done.failures} == {
            "a.png", "b.png", "film.mp4", "none.png", "text.jpg",
        }  # fmt: skip
        assert done.failures[0].reason == f"{out / 'a'} is there already and is no folder; move it away, or choose another --out"  # noqa: E501
        assert [folder.name for folder in done.written] == ["A-2"]
        assert files(elsewhere) == {"precious"}
        assert (elsewhere / "precious").read_text() == "precious"
        assert not (out / "failures.csv").is_symlink()

    def test_folder_that_cannot_be(self, work, photos, tmp_path):
        (tmp_path / "file").touch()
        for out in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(ValueError, match=rf"^cannot make the folder {out} \(.*\); choose another --out$"):
                work.run([photos], out)

    def test_no_input(self, work, tmp_path):
        with pytest.raises(ValueError, match="nothing to reconstruct; give photographs"):
            work.run([], tmp_path / "out")


class TestInputs:
    def test_each_once_and_missing_ones_told(self, photos, tmp_path):
        inputs = [photos / "a.png", photos, tmp_path / "nowhere.jpg", f"{photos}/[ab].png", "~nobody.jpg"]
        items, failures = find_inputs(inputs, tmp_path / "out")
        names = [item.path.name for item in items]
        assert names == ["a.png", "b.png", "film.mp4", "none.png", "A.png", "text.jpg"]
        assert [failure.photo for failure in failures] == [str(tmp_path / "nowhere.jpg"), "~nobody.jpg"]
        assert "there is no file or folder" in failures[0].reason

    def test_own_pictures_are_no_photographs(self, work, photos, tmp_path):
        work.run([photos / "a.png"], photos / "out")
        shutil.copyfile(photos / "a.png", photos / "out" / "a" / "overlay.png")
        shutil.copyfile(photos / "a.png", photos / "out" / "c.png")
        items, _ = find_inputs([photos], photos / "out")
        assert [item.path.relative_to(photos).as_posix() for item in items] == [
            "a.png", "b.png", "film.mp4", "none.png", "out/c.png", "sub/A.png", "text.jpg",
        ]  # fmt: skip
