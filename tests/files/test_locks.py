"""One process at a time works in a folder, and whatever ends it lets the next one in."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time

import pytest

from mofa3d.files import locks
from mofa3d.files.locks import alone

HOLD = """
import sys, time
from pathlib import Path
from mofa3d.files.locks import alone
with alone(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process in the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


def test_who_does_not_wait_is_refused_and_a_killed_process_lets_the_next_one_in(other, tmp_path):
    expected = pytest.raises(ValueError, match=r"another process is writing into .*out; wait .*, or choose another")
    with expected, alone(tmp_path / "out", wait=False):
        pytest.fail("both are in")
    other.kill()
    other.wait()
    with alone(tmp_path / "out", wait=False):
        pass


def test_who_waits_says_so_and_comes_in_when_the_other_has_ended(other, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    caplog.set_level(logging.INFO, "mofa3d")
    ending = threading.Timer(0.5, other.kill)
    ending.start()
    begun = time.monotonic()
    with alone(tmp_path / "out"):
        assert time.monotonic() - begun >= 0.4
    assert caplog.messages == [f"waiting for another process that is writing into {tmp_path / 'out'}"]


def test_an_exception_lets_the_next_one_in(tmp_path):
    with pytest.raises(RuntimeError, match="inside"), alone(tmp_path / "new" / "out", wait=False):
        raise RuntimeError("inside")
    with alone(tmp_path / "new" / "out", wait=False):
        pass


def test_the_same_process_is_kept_out_too(tmp_path):
    expected = pytest.raises(ValueError, match="another process")
    with alone(tmp_path, wait=False), expected, alone(tmp_path, wait=False):
        pytest.fail("both are in")
