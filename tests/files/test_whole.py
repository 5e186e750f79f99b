"""Files are whole or as they were: when the disk is full, when writing fails, and after a process was killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import FullDisk
from PIL import Image
from safetensors.torch import load_file

from mofa3d.data.corpus.shards import Face, write_shard
from mofa3d.data.failures import Failure, list_failures
from mofa3d.encoders.checkpoint import write_encoder
from mofa3d.export import write_glb, write_mesh
from mofa3d.files import whole
from mofa3d.files.whole import link_whole, naming, remove_leftovers, whole_file, write_bytes, write_tensors, write_text
from mofa3d.files.whole_pictures import write_figure, write_picture
from mofa3d.morphable_model import save_model


@pytest.fixture
def full_disk(monkeypatch):
    opened = open
    monkeypatch.setattr(whole, "open", lambda *args: FullDisk(opened(*args)), raising=False)


def test_a_second_name_keeps_what_the_first_was(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    for text in ("one", "two"):
        write_text(first, text)
        link_whole(first, second)
        link_whole(first, second)
        assert second.read_text() == text
    write_text(first, "three")
    assert second.read_text() == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_content_is_what_was_written_and_nothing_else_is_left(tmp_path):
    write_text(tmp_path / "a.txt", "ä\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\r\n\n"
    write_bytes(tmp_path / "a.txt", b"other")
    assert (tmp_path / "a.txt").read_bytes() == b"other"
    write_tensors(tmp_path / "new" / "t.safetensors", {"a": torch.arange(6).view(2, 3).T}, {"about": "x"})
    assert load_file(tmp_path / "new" / "t.safetensors")["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "new", "t.safetensors"]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: write_text(path, "new " * 9), id="text"),
        pytest.param(lambda path: write_tensors(path, {"a": torch.zeros(9)}, {}), id="tensors"),
        pytest.param(lambda path: write_shard(path, [(Face("a", "b"), b"jpeg")]), id="shard"),
        pytest.param(lambda path: list_failures(path, [Failure("a.jpg", "no face")]), id="failures"),
        pytest.param(
            lambda path: write_encoder(path, {"encoder": {}, "description": {}, "progress": {}}), id="encoder"
        ),
    ],
)
def test_on_a_full_disk_the_file_is_named_and_stays_as_it_was(full_disk, tmp_path, write: Callable[[Path], object]):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'") as raised:
        write(path)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_on_a_full_disk_pictures_and_meshes_stay_as_they_were(full_disk, tiny_model, tmp_path):
    from matplotlib.figure import Figure

    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    for name, write in {
        "a.png": lambda path: write_picture(path, picture),
        "b.png": lambda path: write_figure(path, Figure()),
        "c.glb": lambda path: write_glb(path, tiny_model.mean_shape, tiny_model.faces, tiny_model.mean_reflectance),
        "d.ply": lambda path: write_mesh(path, tiny_model, tiny_model.mean_shape, tiny_model.mean_reflectance),
    }.items():
        (tmp_path / name).write_text("old")
        with pytest.raises(OSError, match=f"No space left on device: '.*{name}'"):
            write(tmp_path / name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a.png", "b.png", "c.glb", "d.ply"), "old"
    )


def test_pictures_come_back_and_their_names_say_the_format(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_picture(tmp_path / "a.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)
    with pytest.raises(ValueError, match=r"a\.txt: unknown picture format"):
        write_picture(tmp_path / "a.txt", picture)
    assert not (tmp_path / "a.txt").exists()


def test_on_a_full_disk_a_face_model_stays_as_it_was(full_disk, tiny_model, tmp_path):
    (tmp_path / "model.safetensors").write_text("old")
    with pytest.raises(OSError, match=r"No space left on device: '.*model\.safetensors'"):
        save_model(tiny_model, tmp_path / "model.safetensors")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_ends_the_writing_leaves_the_old_file(tmp_path, error):
    write_text(tmp_path / "a", "old")

    def fail() -> None:
        with whole_file(tmp_path / "a") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_content_is_on_the_disk_before_it_takes_the_files_place_and_the_name_after(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.fstat(handle)) or sync(handle))
    monkeypatch.setattr(os, "replace", lambda old, new: done.append("replaced") or replace(old, new))
    write_text(tmp_path / "a", "text")
    content, between, folder = done
    assert (content.st_ino, content.st_size) == ((tmp_path / "a").stat().st_ino, 4)
    assert between == "replaced"
    assert folder.st_ino == tmp_path.stat().st_ino


def test_a_long_name_has_temporaries_too(tmp_path):
    name = "ß" * 127  # 254 bytes of 255
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_temporaries_of_killed_processes_are_removed_and_those_of_others_stay(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from mofa3d.files.whole import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file:\n    file.write(b'half'); print('in', flush=True); time.sleep(60)"
    )
    path, process = tmp_path / "a[1]*.txt", None
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "in\n"
        write_text(path, "ours")  # while the other still writes
        (leftover,) = tmp_path.glob(".*.part")
    finally:
        process.kill()
        process.communicate()
    assert leftover.exists()
    write_text(path, "ours again")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "ours again")]


def test_where_processes_cannot_be_asked_for_temporaries_go_by_their_age(tmp_path, monkeypatch):
    old, new = tmp_path / ".a.1-0.part", tmp_path / ".a.1-1.part"
    for file in (old, new):
        file.touch()
    os.utime(old, (0, time.time() - 4000))
    monkeypatch.setattr(whole.os, "name", "nt")
    assert whole.is_abandoned(old)
    assert not whole.is_abandoned(new)


def test_all_leftovers_of_a_folder_of_ones_own_go_and_nothing_else(tmp_path):
    for name in (".checkpoint.pt.1-0.part", ".a.part", "mine.part", ".lock", "a.txt"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a.txt", "mine.part"]


def test_errors_that_name_another_file_keep_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"), naming(tmp_path / "ours"):
        (tmp_path / "missing").read_bytes()
    with pytest.raises(BrokenPipeError, match="ours"), naming(tmp_path / "ours"):
        raise OSError(errno.EPIPE, "Broken pipe")


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="limits of file sizes are Unix's")
def test_a_limit_of_the_system_is_one_line_of_export_encoder_and_leaves_the_old_file(tmp_path):
    old = tmp_path / "encoder.safetensors"
    old.write_text("old")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from mofa3d.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", limited, "export-encoder", "--out", str(old), "--force"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: [Errno 27] File too large: '{old}'\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
