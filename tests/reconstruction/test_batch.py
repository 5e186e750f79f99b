"""Batches of files: what is done, done again, skipped, refused and listed; faces and their files are stand-ins."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from crashing_readers import CrashingReader
from PIL import Image

from mofa3d.camera import Camera
from mofa3d.cli.logs import shown_logs
from mofa3d.data.crop import CropTransform
from mofa3d.data.detect import FaceBox
from mofa3d.data.isolated_reader import IsolatedReader
from mofa3d.data.sources import Reader
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.files.record import RECORD
from mofa3d.reconstruction.batch import BatchReconstruction, BatchTools, find_inputs
from mofa3d.reconstruction.reconstructor import Reconstruction
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
        self.written: list[str] = []

    def faces(self, photo: np.ndarray) -> list[Reconstruction]:
        if not photo[0, 0, 0]:
            raise InputError("no face was found")
        return [self.face] * int(photo[0, 0, 0])

    def write(self, folder: Path, name: str, photo: np.ndarray, found: Reconstruction) -> None:
        self.written.append(Path(name).name)
        (folder / "code.json").write_text(name)

    def film(self, path: Path, folder: Path) -> None:
        self.written.append(path.name)
        (folder / "codes.json").write_text("[]")

    def run(self, inputs: list, out: Path, reader: Reader | None = None, **about):
        self.written.clear()
        with shown_logs():
            tools = BatchTools(self.faces, self.write, self.film)
            return BatchReconstruction(lambda: tools, about, reader or Reader())(inputs, out)


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

    def test_files_are_used_listed_or_counted_whatever_they_are_called(self, work, photos, tmp_path, capsys):
        Image.new("RGB", (4, 4), (1, 0, 0)).save(photos / "b.bin", "PNG")
        (photos / "c.avif").write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(99))
        for name in ("notes.txt", "more.TXT", "d.psd", ".hidden.png"):
            (photos / name).write_bytes(b"text")
        done = work.run([photos], tmp_path / "out")
        assert "b.bin" in work.written
        assert {Path(failure.photo).name for failure in done.failures} == {"none.png", "text.jpg", "c.avif"}
        [reason] = [failure.reason for failure in done.failures if failure.photo.endswith("c.avif")]
        assert reason.startswith(str(photos / "c.avif"))
        assert f"{photos}: left out 2 .txt, 1 .psd, 1 hidden\n" in capsys.readouterr().err

    def test_nothing_is_opened_where_all_is_done(self, work, photos, tmp_path):
        def unwanted() -> BatchTools:
            raise InputError("opened")

        work.run([photos / "a.png", photos / "film.mp4"], tmp_path / "out")
        batch = BatchReconstruction(unwanted, {})
        done = batch([photos / "a.png", photos / "film.mp4"], tmp_path / "out")
        assert (done.written, done.skipped, done.failures) == ([], 2, [])
        with pytest.raises(InputError, match=r"^opened$"):  # the mistake is not the photograph's
            batch([photos / "a.png", photos / "b.png"], tmp_path / "out")

    def test_what_is_done_is_skipped(self, work, photos, tmp_path):
        work.run([photos], tmp_path / "out")
        done = work.run([photos], tmp_path / "out")
        assert (work.written, done.written, done.skipped, len(done.failures)) == ([], [], 4, 2)

    def test_done_again_where_something_changed(self, work, photos, tmp_path):
        out = tmp_path / "out"
        work.run([photos], out)
        assert len(work.run([photos], out, refine=True).written) == 4  # other options
        (out / "a" / "code.json").unlink()
        content = json.loads((out / "film" / RECORD).read_text())
        (out / "film" / RECORD).write_text(json.dumps({**content, "unfinished": True}))
        Image.new("RGB", (5, 5), (1, 0, 0)).save(photos / "sub" / "A.png")
        work.run([photos], out, refine=True)
        assert work.written == ["a.png", "film.mp4", "A.png"]

    def test_interrupted_one_leaves_nothing_and_is_done_again(self, work, photos, tmp_path):
        def interrupted(folder: Path, *rest) -> None:
            (folder / "code.json").write_text("half")
            raise KeyboardInterrupt

        out, tools = tmp_path / "out", BatchTools(work.faces, interrupted, work.film)
        with pytest.raises(KeyboardInterrupt):
            BatchReconstruction(lambda: tools, {})([photos / "a.png"], out)
        assert list(out.iterdir()) == []
        work.run([photos / "a.png"], out)
        assert json.loads((out / "a" / RECORD).read_text())["files"] == ["code.json"]
        with pytest.raises(KeyboardInterrupt):
            BatchReconstruction(lambda: tools, {"refine": True})([photos / "a.png"], out)
        assert (out / "a" / "code.json").read_text() == str(photos / "a.png")  # whole

    def test_nothing_of_the_photograph_before_is_left(self, work, photos, tmp_path):
        out = tmp_path / "out"
        work.run([photos / "b.png"], out)
        (out / "b" / "mesh.obj").write_text("the user's")
        (out / "b" / "face_3" / "notes.txt").write_text("the user's")
        Image.new("RGB", (4, 4), (2, 0, 0)).save(photos / "b.png")
        work.run([photos / "b.png"], out)
        assert files(out) == {
            "b/face_1/code.json", "b/face_2/code.json", "b/face_3/notes.txt", "b/mesh.obj", f"b/{RECORD}",
        }  # fmt: skip
        Image.new("RGB", (4, 4), (1, 0, 0)).save(photos / "b.png")
        work.run([photos / "b.png"], out)
        assert not (out / "b" / "face_2").exists()
        assert json.loads((out / "b" / RECORD).read_text())["files"] == ["code.json"]

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
        (out / "film").write_text("a file")
        (out / "failures.csv").symlink_to(elsewhere / "precious")
        work.run([photos / "b.png"], out)
        shutil.rmtree(out / "b" / "face_1")
        (out / "b" / "face_1").symlink_to(elsewhere)
        done = work.run([photos], out)
        assert [folder.name for folder in done.written] == ["a-2", "film-2", "A-3"]
        assert [Path(failure.photo).name for failure in done.failures] == ["b.png", "none.png", "text.jpg"]
        remedy = "already exists and was not written by mofa3d; move it away, or choose another --out"
        assert done.failures[0].reason == f"{out / 'b' / 'face_1' / 'code.json'} {remedy}"
        assert done.listed == out / "failures-2.csv"
        assert files(elsewhere) == {"precious"}
        assert (elsewhere / "precious").read_text() == "precious"
        assert (out / "film").read_text() == "a file"

    def test_folder_that_cannot_be(self, work, photos, tmp_path):
        (tmp_path / "file").touch()
        for out in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(ValueError, match=rf"^cannot make the folder {out} \(.*\); choose another --out$"):
                work.run([photos], out)

    def test_no_input(self, work, tmp_path):
        with pytest.raises(ValueError, match="nothing to reconstruct; give photographs"):
            work.run([], tmp_path / "out")


class TestNothingIsOverwritten:
    """Folders belong to the input that their record names."""

    @pytest.fixture
    def people(self, tmp_path, monkeypatch) -> Path:
        """Two people's photographs with the same name, of the same size and time."""
        for name in ("ann", "bob"):
            (tmp_path / name).mkdir()
            Image.new("RGB", (4, 4), (1, 0, len(name) + ord(name[0]))).save(tmp_path / name / "1.png")
            os.utime(tmp_path / name / "1.png", (1e9, 1e9))
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def made_from(self, folder: Path) -> str:
        return Path((folder / "code.json").read_text()).parent.name

    def test_another_input_of_the_same_name_gets_another_number(self, work, people):
        out = people / "faces"
        for _ in range(2):
            work.run(["ann/1.png"], out)
            work.run(["bob/1.png"], out)
            assert {self.made_from(out / "1"), self.made_from(out / "1-2")} == {"ann", "bob"}
        assert self.made_from(out / "1") == "ann"
        assert work.run(["bob/1.png", "ann/1.png"], out).skipped == 2
        assert [folder.name for folder in work.run(["bob/1.png", "ann/1.png"], out, refine=1).written] == ["1-2", "1"]

    def test_a_folder_is_found_again_where_lower_numbers_are_gone(self, work, people):
        work.run(["ann", "bob"], people / "faces")
        shutil.rmtree(people / "faces" / "1")
        assert work.run(["bob"], people / "faces").skipped == 1
        assert [folder.name for folder in work.run(["ann"], people / "faces").written] == ["1"]

    def test_a_folder_is_found_again_from_another_folder(self, work, people, monkeypatch):
        work.run(["ann/1.png"], people / "faces")
        monkeypatch.chdir(people / "ann")
        assert work.run(["1.png"], Path("../faces")).skipped == 1

    def test_moved_with_its_photographs(self, work, people):
        work.run(["ann/1.png"], people / "ann" / "faces")
        shutil.move(people / "ann", people / "anna")
        assert work.run(["anna/1.png"], people / "anna" / "faces").skipped == 1

    def test_moved_to_another_photograph_of_that_name(self, work, people):
        work.run(["ann/1.png"], people / "ann" / "faces")
        shutil.move(people / "ann" / "faces", people / "bob" / "faces")
        assert [folder.name for folder in work.run(["bob/1.png"], people / "bob" / "faces").written] == ["1-2"]
        assert self.made_from(people / "bob" / "faces" / "1") == "ann"

    def test_members_of_archives_of_one_name(self, work, people):
        for name in ("x", "y"):
            with tarfile.open(f"{name}.tar", "w") as archive:
                archive.add("ann/1.png", "ann/1.png")
                archive.add("bob/1.png", "bob/1.png")
        out = people / "faces"
        for archive, skipped in (("x.tar", 0), ("y.tar", 0), ("x.tar", 2), ("y.tar", 2)):
            assert work.run([archive], out).skipped == skipped
        read = {path.name: (path / "code.json").read_text() for path in out.iterdir()}
        assert read == {
            "1": "x.tar#ann/1.png",
            "1-2": "x.tar#bob/1.png",
            "1-3": "y.tar#ann/1.png",
            "1-4": "y.tar#bob/1.png",
        }

    def test_files_of_the_user_stay(self, work, people):
        (people / "ann" / "1").mkdir()
        mine = {"1/code.json": "my code", "1/mesh.obj": "my mesh", "1/summary.json": "mine", "failures.csv": "mine"}
        for name, text in mine.items():
            (people / "ann" / name).write_text(text)
        for _ in range(2):
            work.run(["ann/1.png", "nowhere.png"], people / "ann")
        assert {name: (people / "ann" / name).read_text() for name in mine} == mine
        assert files(people / "ann") == {*mine, "1.png", "1-2/code.json", f"1-2/{RECORD}", "failures-2.csv"}
        (people / "ann" / "1-2" / "more.json").write_text("mine")

    def test_file_of_the_user_in_the_way_is_told(self, work, people):
        work.run(["ann/1.png"], people / "faces")
        folder = people / "faces" / "1"
        record = json.loads((folder / RECORD).read_text())
        (folder / RECORD).write_text(json.dumps({**record, "files": []}))
        (folder / "code.json").write_text("mine")
        [failure] = work.run(["ann/1.png"], people / "faces", refine=True).failures
        assert failure.reason.startswith(
            f"{folder / 'code.json'} already exists and was not written by mofa3d; move it away"
        )
        assert files(folder) == {"code.json", RECORD}
        assert (folder / "code.json").read_text() == "mine"

    @pytest.mark.parametrize("name", ["../victim", "a/../../victim", "/victim", "a/b/c", "", 7, "c:x", "..\\victim"])
    def test_crafted_records_remove_nothing(self, work, people, name):
        (people / "faces" / "1").mkdir(parents=True)
        (people / "faces" / "victim").write_text("precious")
        record = {"file": str(people / "ann" / "1.png"), "files": [name]}
        (people / "faces" / "1" / RECORD).write_text(json.dumps(record))
        assert [folder.name for folder in work.run(["ann/1.png"], people / "faces").written] == ["1-2"]
        assert (people / "faces" / "victim").read_text() == "precious"

    def test_another_process_takes_the_name_meanwhile(self, work, people):
        def write(folder: Path, *rest) -> None:
            (folder / "code.json").write_text("late")
            if not (people / "faces" / "1").exists():
                work.run(["bob/1.png"], people / "faces")

        batch = BatchReconstruction(lambda: BatchTools(work.faces, write, work.film), {})
        assert [folder.name for folder in batch(["ann/1.png"], people / "faces").written] == ["1-2"]
        assert self.made_from(people / "faces" / "1") == "bob"

    def test_leftovers_of_killed_processes_are_removed(self, work, people):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        for process in (ended.pid, os.getpid()):
            (people / "faces" / f".1.{process}-0.unfinished").mkdir(parents=True)
        work.run(["ann/1.png"], people / "faces")
        hidden = [path.name for path in (people / "faces").iterdir() if path.name.startswith(".")]
        assert hidden == [f".1.{os.getpid()}-0.unfinished"]

    def test_outputs_of_other_programs_are_refused(self, work, people):
        for name in (".mofa3d", "corpus.json"):
            out = people / name.strip(".")
            out.mkdir()
            (out / name).write_text("prepare")
            with pytest.raises(
                ValueError, match="contains a corpus or the results of another program; choose another --out"
            ):
                work.run(["ann"], out)


class TestInputs:
    def test_each_once_and_missing_ones_told(self, photos, tmp_path):
        inputs = [photos / "a.png", photos, tmp_path / "nowhere.jpg", f"{photos}/[ab].png", "~nobody.jpg"]
        items, failures = find_inputs(inputs, tmp_path / "out")
        names = [item.path.name for item in items]
        assert names == ["a.png", "b.png", "film.mp4", "none.png", "A.png", "text.jpg"]
        assert [failure.photo for failure in failures] == [str(tmp_path / "nowhere.jpg"), "~nobody.jpg"]
        assert "there is no file or folder" in failures[0].reason

    def test_results_are_no_photographs_wherever_they_lie(self, work, photos, tmp_path):
        def write(folder: Path, *rest) -> None:
            shutil.copyfile(photos / "a.png", folder / "overlay.png")

        batch = BatchReconstruction(lambda: BatchTools(work.faces, write, work.film), {})
        mine = ["a.png", "b.png", "film.mp4", "none.png", "sub/A.png", "text.jpg"]
        for out in (photos / "out1", photos / "out2", tmp_path / "out3"):
            batch([photos], out)
            items, _ = find_inputs([photos], out)
            assert [item.path.relative_to(photos).as_posix() for item in items] == mine
        shutil.copyfile(photos / "a.png", photos / "out1" / "a" / "c.png")
        items, failures = find_inputs([f"{photos}/out1/*/*.png", photos / "out1" / "b" / "face_1"], photos / "out2")
        assert [item.path.relative_to(photos).as_posix() for item in items] == ["out1/a/c.png"]
        assert failures[0].reason.endswith("or folders of them; what mofa3d wrote is left out")

    def test_results_that_are_named_are_taken_but_those_of_the_same_folder(self, work, photos):
        def write(folder: Path, *rest) -> None:
            shutil.copyfile(photos / "a.png", folder / "overlay.png")

        BatchReconstruction(lambda: BatchTools(work.faces, write, work.film), {})([photos / "a.png"], photos / "out1")
        named = photos / "out1" / "a" / "overlay.png"
        assert [item.path for item in find_inputs([named], photos / "out2")[0]] == [named]
        assert find_inputs([named], photos / "out1")[0] == []


class TestCrashes:
    @pytest.mark.skipif(os.name == "nt", reason="signals end processes with other statuses there")
    def test_native_crashes_are_the_files_failures_and_the_batch_goes_on(self, work, photos, tmp_path, capsys):
        for name in ("abort.png", "segfault.png", "exit.png", "once.png"):
            Image.new("RGB", (4, 4), (1, 0, 0)).save(photos / name)
        with closing(IsolatedReader(CrashingReader)) as reader:
            done = work.run([photos], tmp_path / "out", reader)
        assert [folder.name for folder in done.written] == ["a", "b", "film", "once", "A-2"]
        reasons = {Path(failure.photo).name: failure.reason for failure in done.failures}
        assert list(reasons) == ["abort.png", "exit.png", "none.png", "segfault.png", "text.jpg"]
        told = capsys.readouterr().err
        for name, how in (("abort", "signal SIGABRT"), ("segfault", "signal SIGSEGV"), ("exit", "exit status 7")):
            path = photos / f"{name}.png"
            assert reasons[path.name] == f"{path} crashes the program that reads it ({how}); replace it or leave it out"
            assert f"error: {reasons[path.name]}" in told

    @pytest.mark.parametrize("kind", [IndexError, ValueError])
    def test_faults_of_ours_are_seen_and_end_no_batch(self, work, photos, tmp_path, capsys, kind):
        def faulty(folder: Path, name: str, *rest) -> None:
            if name.endswith("a.png"):
                raise kind("shapes do not match")
            work.write(folder, name, *rest)

        batch = BatchReconstruction(lambda: BatchTools(work.faces, faulty, work.film), {})
        with shown_logs():
            done = batch([photos / "a.png", photos / "b.png"], tmp_path / "out")
        assert [folder.name for folder in done.written] == ["b"]
        assert [failure.reason for failure in done.failures] == [f"{kind.__name__}: shapes do not match"]
        told = capsys.readouterr().err
        assert f"error: {photos / 'a.png'}\nTraceback" in told
        assert f"{kind.__name__}: shapes do not match\n" in told
