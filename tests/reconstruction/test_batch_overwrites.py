"""Nothing is overwritten or mistaken: results belong to the input that their record names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from batch_work import files
from PIL import Image

from mofa3d.files.record import RECORD
from mofa3d.reconstruction.batch import BatchReconstruction, BatchTools


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
