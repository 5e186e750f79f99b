"""Work that is done is no error because its last words cannot be said, or nobody hears them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_model import make_tiny_model
from tqdm import tqdm

from mofa3d.cli import program
from mofa3d.cli.main import main
from mofa3d.cli.streams import lasting_streams
from mofa3d.morphable_model import save_model

ROOT = Path(__file__).parents[2]
WORDS = "the face’s α, β and 顔\n"


@dataclass(frozen=True)
class Options:
    count: int = 3


def talk(options: Options) -> None:
    for _ in tqdm(range(options.count)):
        print(WORDS * 10_000, flush=True)  # noqa: T201


def status_of_a_talk(monkeypatch) -> int:
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as ended:
        program.run(talk, Options, None)
    return ended.value.code


def ascii_stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


@pytest.fixture
def broken_pipe():
    """A stream whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stream:
        yield stream


@pytest.fixture
def full_disk():
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no disk that is always full")
    stream = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115
    yield stream
    stream.close()


def test_letters_that_a_stream_cannot_say_are_escaped(monkeypatch):
    stream = ascii_stream()
    monkeypatch.setattr(sys, "stdout", stream)
    assert status_of_a_talk(monkeypatch) == 0
    assert stream.buffer.getvalue().startswith(b"the face\\u2019s \\u03b1, \\u03b2 and \\u9854\n")
    assert stream.errors == "strict"  # as it was
    assert sys.stdout is stream


def test_names_of_files_that_are_no_text_are_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    with lasting_streams():
        print(os.fsdecode(b"caf\xe9.jpg"))  # noqa: T201
    assert stream.buffer.getvalue() == b"caf\\udce9.jpg\n"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_reader_that_goes_away_stops_no_work(monkeypatch, broken_pipe, name):
    monkeypatch.setattr(sys, name, broken_pipe)
    assert status_of_a_talk(monkeypatch) == 0
    broken_pipe.write("more, as Python's own end may")
    broken_pipe.flush()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_closed_streams_stop_no_work(monkeypatch, name):
    monkeypatch.setattr(sys, name, None)
    assert status_of_a_talk(monkeypatch) == 0


def test_a_full_disk_under_the_output_is_told_in_one_line(monkeypatch, full_disk, capsys):
    monkeypatch.setattr(sys, "stdout", full_disk)
    assert status_of_a_talk(monkeypatch) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "error: [Errno 28] No space left on device (standard output or error)"


def test_a_full_disk_is_noticed_when_the_last_words_are_still_to_be_written(monkeypatch, full_disk, capsys, tmp_path):
    save_model(make_tiny_model(), tmp_path / "tiny.safetensors")
    monkeypatch.setattr(sys, "stdout", full_disk)
    assert main(["model", "info", "makehuman", "--path", str(tmp_path / "tiny.safetensors")]) == 2
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device (standard output or error)\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes and connects streams")
@pytest.mark.parametrize("ending", ["0<&- >&- 2>&-", "| head -c 1 >/dev/null"])
def test_commands_in_a_shell(tmp_path, ending):
    save_model(make_tiny_model(), tmp_path / "tiny.safetensors")
    out = tmp_path / "preview.png"
    command = f"'{sys.executable}' -m mofa3d model preview makehuman --path tiny.safetensors --out preview.png"
    script = f"set -o pipefail; PYTHONPATH='{ROOT}' PYTHONIOENCODING=ascii LC_ALL=C {command} {ending}"
    run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr
    assert out.read_bytes().startswith(b"\x89PNG")
