"""Processes that answer requests: what ends them ends nothing else, and they end with who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from answering import answering, failing

from mofa3d.environment.isolation import DiedError, RaisedThereError, Worker

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def worker():
    worker = Worker(answering)
    yield worker
    worker.close()


def test_answers_come_one_after_the_other(worker):
    assert list(worker.answers(("count", 5))) == [0, 1, 2, 3, 4]
    assert list(worker.answers(("count", 0))) == []
    photo = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    [back] = worker.answers(("same", photo))
    assert np.array_equal(back, photo)
    assert list(worker.answers(("process", 0))) == list(worker.answers(("process", 0))) != [os.getpid()]


def test_what_it_prints_goes_to_the_error_output(capfd):
    worker = Worker(answering)
    assert list(worker.answers(("print", "hello"))) == ["hello"]
    worker.close()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "from native code" in captured.err


def test_exceptions_come_over_and_the_process_goes_on(worker):
    [process] = worker.answers(("process", 0))
    taken = []
    with pytest.raises(ValueError, match=r"^of mine$") as error:
        taken.extend(worker.answers(("raise", "of mine")))
    assert isinstance(error.value.__cause__, RaisedThereError)
    assert "in answer" in str(error.value.__cause__)
    with pytest.raises(RuntimeError, match=r"^OddError: 1 and 2$"):
        list(worker.answers(("odd", 2)))
    assert list(worker.answers(("process", 0))) == [process]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (("signal", signal.SIGSEGV), "signal SIGSEGV"), (("signal", signal.SIGABRT), "signal SIGABRT"),
        (("signal", getattr(signal, "SIGKILL", 9)), "signal SIGKILL"), (("exit", 7), "exit status 7"),
    ],
)  # fmt: skip
@pytest.mark.skipif(os.name == "nt", reason="signals end processes with other statuses there")
def test_one_that_dies_is_told_and_another_one_answers(worker, request_, told):
    with pytest.raises(DiedError, match=f"^{told}$"):
        list(worker.answers(request_))
    assert list(worker.answers(("count", 2))) == [0, 1]


def test_one_that_is_killed_while_it_waits_is_told(worker):
    [process] = worker.answers(("process", 0))
    os.kill(process, signal.SIGTERM)
    with pytest.raises(DiedError, match=r"SIGTERM|exit status"):
        list(worker.answers(("count", 2)))
    assert list(worker.answers(("count", 2))) == [0, 1]


def test_one_that_is_closed_amid_its_answers_starts_again(worker):
    answers = worker.answers(("count", 10**9))
    assert next(answers) == 0
    worker.close()
    assert list(worker.answers(("count", 1))) == [0]


def test_processes_that_never_begin_are_an_error(capfd):
    worker = Worker(failing)
    with pytest.raises(RuntimeError, match="cannot be started as a further process, or ends at once"):
        list(worker.answers(1))
    assert "never begins" in capfd.readouterr().err


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(os.name == "nt", reason="asks for processes as POSIX does")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "exit"])
def test_it_ends_with_its_parent_whatever_it_does(how):
    program = (
        "import sys, time; sys.path += ['tests/support']\n"
        "from mofa3d.environment.isolation import Worker\n"
        "from answering import answering\n"
        "worker = Worker(answering)\n"
        "print(*worker.answers(('process', 0)), flush=True)\n"
        "worker._send(('signal', 0))  # sleeps\n"
        f"time.sleep({0 if how == 'exit' else 60})"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        process = int(parent.stdout.readline())
        if how != "exit":
            assert is_running(process)
            parent.send_signal(getattr(signal, how))
    deadline = time.monotonic() + 5
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(process)


def test_processes_that_read_or_prepare_do_without_pytorch():
    program = "import sys, mofa3d.data.corpus.examining; print({'torch', 'scipy', 'numba'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
