"""Processes for what may crash: they answer requests, die without taking this process along, and end with it.

They are started as plain interpreters, not by `multiprocessing`: so they load nothing but what they need, need no
``if __name__ == "__main__"`` in their users' scripts, and find out at once, by the end of a pipe, that their parent is
gone, on every operating system.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

READY, MORE, END, FAILED = range(4)
STARTS = 5  # attempts to start a process
PROTOCOL = 5

Answer = Callable[[Any], Iterable[object]]


class DiedError(Exception):
    """A process ended before it had answered; the message states how."""


class RaisedThereError(Exception):
    """Where in a process an exception was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Worker:
    """A process that gives any number of answers to one request at a time.

    It starts at once, and this one goes on. It is not interrupted by the keyboard, ends when this process ends, however
    that does, and shares the standard error output. Methods must not be called by several threads.

    Args:
        make: is called there, and gives what is called with each request; both must be picklable.
    """

    def __init__(self, make: Callable[[], Answer]) -> None:
        self._make = make
        self._process: subprocess.Popen | None = None
        self._is_ready = False
        self._start()

    def _start(self) -> None:
        # Its own session: Ctrl-C is for this process, which closes the pipe.
        program = f"import sys; sys.path[:] = {sys.path!a}; from mofa3d.environment.isolation import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._is_ready = False
        self._send(self._make)

    def _send(self, request: object) -> None:
        with suppress(BrokenPipeError):  # who waits for the answer is told
            pickle.dump(request, self._process.stdin, PROTOCOL)
            self._process.stdin.flush()

    def answers(self, request: object) -> Iterator[Any]:
        """What it answers, as it comes; all must be taken, or the worker closed.

        Raises:
            DiedError: it ended; the next request starts another one.
            RuntimeError: processes end before they have begun.
            Exception: what was raised there.
        """
        self._await_start()
        self._send(request)
        while True:
            kind, *content = self._receive()
            if kind == END:
                return
            if kind == FAILED:
                error, where = content
                raise error from RaisedThereError(where)
            yield content[0]

    def _await_start(self) -> None:
        for _ in range(STARTS):
            if self._process is None:
                self._start()
            if self._is_ready:
                return
            with suppress(DiedError):
                self._receive()
                self._is_ready = True
                return
        raise RuntimeError(f"{sys.executable} cannot be started as a further process, or ends at once")

    def _receive(self) -> tuple:
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            raise DiedError(self._ending()) from None

    def _ending(self) -> str:
        """How it ended, in words."""
        process, self._process = self._process, None
        _close(process)
        code = process.wait()
        with suppress(ValueError):  # of a signal without a name
            return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"exit status {code}"

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            _close(process)
            process.wait()


def _close(process: subprocess.Popen) -> None:
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what is not sent yet
            pipe.close()


def serve() -> None:
    """What a worker's process does."""
    requests, answers = _take_pipes()
    waiting: SimpleQueue = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    answer = waiting.get()()
    _reply(answers, READY)
    while True:
        request = waiting.get()
        try:
            for one in answer(request):
                _reply(answers, MORE, one)
        except Exception as error:
            _reply(answers, FAILED, _portable(error), traceback.format_exc())
        else:
            _reply(answers, END)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes from and to the parent; who prints from now on prints to the standard error output."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


def _listen(requests: BinaryIO, waiting: SimpleQueue) -> None:
    """Queue requests; the end of the pipe is the end of the parent."""
    try:
        while True:
            waiting.put(pickle.load(requests))
    except EOFError:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _reply(answers: BinaryIO, *content: object) -> None:
    try:
        pickle.dump(content, answers, PROTOCOL)
        answers.flush()
    except BrokenPipeError:
        os._exit(0)


def _portable(error: Exception) -> Exception:
    """An exception that can be sent."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # its arguments are not those that make it
        return RuntimeError(f"{type(error).__name__}: {error}")
