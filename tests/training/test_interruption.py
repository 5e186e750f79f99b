"""Signals that ask to end: which are noted, which raise, which stay as they were."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from mofa3d.training.interruption import Interruption, as_ctrl_c, handling, noted, status_of

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows sends itself no such signals")


def test_statuses_are_those_of_shells():
    found = [status_of(Interruption(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert found == [130, 143, 129]
    assert status_of(KeyboardInterrupt()) == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_tidy_up_as_ctrl_c_does(number):
    before, tidied = signal.getsignal(number), []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            tidied.append(True)

    with pytest.raises(KeyboardInterrupt) as ended, as_ctrl_c():
        work()
    assert (ended.value.number, tidied) == (number, [True])
    assert signal.getsignal(number) == before


def test_the_first_is_noted_and_the_next_is_as_it_was_before(capfd):
    found = []

    def work() -> None:
        with noted("ending soon") as wish:
            for _ in range(3):
                found.append(wish.number)
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert found == [0, signal.SIGINT]
    assert capfd.readouterr().err == "\nending soon\n"


def test_signals_that_a_process_ignores_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts processes
    try:
        with noted("ending soon") as wish:
            os.kill(os.getpid(), signal.SIGHUP)
        assert wish.number == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_handle_nothing():
    found = []

    def work() -> None:
        with handling([signal.SIGTERM], lambda _: None):
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
