"""Every input has a folder of its own; more of this in test_batch_reconstruction.py."""

from __future__ import annotations

import time

import pytest

from mofa3d.data.input_folders import InputFolders, Source
from mofa3d.files.names import LONGEST
from mofa3d.files.record import unfinished


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["1", "1", "1-2", "1", "2"], ["1", "1-2", "1-2-2", "1-3", "2"]),
        (["Ann", "ann", "ANN"], ["Ann", "ann-2", "ANN-3"]),
        (["\u00fc", "u\u0308"], ["\u00fc", "\u00fc-2"]),  # the accent apart from its letter
        (["x" * 90, "x" * 100], ["x" * LONGEST, f"{'x' * LONGEST}-2"]),
        (["failures.csv", "Taken"], ["failures.csv-2", "Taken-2"]),
    ],
)
def test_every_name_is_its_own(tmp_path, names, folders):
    (tmp_path / "taken").write_text("a file")
    found = InputFolders(tmp_path, reserved=("failures.csv",))
    assert [found.new(name).name for name in names] == folders


def test_ten_thousand_of_one_name_are_quick(tmp_path):
    source = Source.of(tmp_path / "here.jpg")
    (tmp_path / "out").mkdir()
    folders = InputFolders(tmp_path / "out")
    began = time.process_time()
    for number in range(10_000):
        assert folders.find("1", Source(f"/{number}/1.jpg")) is None
        last = folders.new("1")
    assert last.name == "1-10000"
    assert time.process_time() - began < 5
    with unfinished(tmp_path / "out", "1") as results:
        assert folders.keep(results, "1", source, None).name == "1-10001"
    assert InputFolders(tmp_path / "out").find("1", source).name == "1-10001"
