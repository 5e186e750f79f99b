"""Batches of files: what is done, done again, skipped, refused and listed; faces and their files are stand-ins."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tarfile
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from batch_work import files
from crashing_readers import CrashingReader
from PIL import Image

from mofa3d.cli.streams import shown_logs
from mofa3d.data.isolated_reader import IsolatedReader
from mofa3d.data.sources import Reader
from mofa3d.errors import InputError
from mofa3d.files.record import RECORD, read_record
from mofa3d.reconstruction.batch import BatchReconstruction, BatchTools, find_inputs


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def write_four(folder: Path) -> None:
    for number in range(1, 5):
        Image.new("RGB", (4, 4), (1, 0, 0)).save(folder / f"{number}.png")


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

    @pytest.mark.parametrize("known", [False, True])
    def test_nothing_is_opened_for_what_cannot_be_read(self, photos, tmp_path, known):
        """Neither where the folder is new, nor where it is there."""
        if known:
            (tmp_path / "out").mkdir()

        def unwanted() -> BatchTools:
            raise AssertionError

        done = BatchReconstruction(unwanted, {})([tmp_path / "no.jpg", photos / "text.jpg"], tmp_path / "out")
        assert [Path(failure.photo).name for failure in done.failures] == ["no.jpg", "text.jpg"]
        assert "there is no file or folder" in done.failures[0].reason
        assert "is not an image that can be read" in done.failures[1].reason
        assert files(tmp_path / "out") == {"failures.csv"}

    def test_what_only_its_name_calls_a_photograph_is_done_if_it_can_be_read(self, work, photos, tmp_path):
        class Lenient(Reader):
            def read(self, item):
                return np.ones((4, 4, 3), np.uint8)

        done = work.run([photos / "text.jpg"], tmp_path / "out", Lenient())
        assert ([folder.name for folder in done.written], done.failures) == (["text"], [])

    def test_doubts_are_told_and_recorded(self, work, photos, tmp_path, capsys):
        work.face = replace(work.face, warning="is 30 pixels large")
        work.run([photos / "a.png", photos / "b.png", photos / "film.mp4"], tmp_path / "out")
        told = capsys.readouterr().err
        assert f"warning: {photos / 'a.png'}: the face is 30 pixels large; the result may be poor\n" in told
        assert f"warning: {photos / 'b.png'}: face 3 is 30 pixels large; the result may be poor\n" in told
        kept = {name: read_record(tmp_path / "out" / name).about["warnings"] for name in ("a", "b", "film")}
        assert kept["a"] == ["the face is 30 pixels large; the result may be poor"]
        assert kept["b"] == [f"face {k} is 30 pixels large; the result may be poor" for k in (1, 2, 3)]
        assert kept["film"] == []

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

    def test_several_at_once_in_their_order(self, work, tmp_path, two_threads):
        """The second waits for the third, and is called the second nevertheless."""
        third = threading.Event()

        def write(folder: Path, name: str, *rest) -> None:
            if name.endswith("2.png"):
                assert third.wait(20)
            work.write(folder, name, *rest)
            if name.endswith("3.png"):
                third.set()

        write_four(tmp_path)
        tools = BatchTools(work.faces, write, work.film)
        done = BatchReconstruction(lambda: tools, {})([tmp_path / "*.png"], tmp_path / "out")
        assert [folder.name for folder in done.written] == ["1", "2", "3", "4"]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "2", "3", "4"]

    def test_interrupted_several_leave_nothing(self, work, tmp_path, two_threads):
        def interrupted(folder: Path, name: str, *rest) -> None:
            work.write(folder, name, *rest)
            if name.endswith("2.png"):
                raise KeyboardInterrupt

        write_four(tmp_path)
        tools, out = BatchTools(work.faces, interrupted, work.film), tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            BatchReconstruction(lambda: tools, {})([tmp_path / "*.png"], out)
        assert [path.name for path in out.iterdir()] == ["1"]

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
