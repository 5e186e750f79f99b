"""Signals that ask a program to end: Ctrl-C, the end of a session or of a terminal, and what schedulers send first."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# Windows has no SIGHUP; its SIGBREAK is Ctrl-Break and a closed window.
ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
STDERR = 2


class Interruption(KeyboardInterrupt):
    """A signal ended the work, as Ctrl-C does.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.number = number


def status_of(error: KeyboardInterrupt) -> int:
    """Exit status of what a signal ended, as shells give it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (error.number if isinstance(error, Interruption) else signal.SIGINT)


@contextmanager
def handling(signals: Sequence[int], handler: Callable[[int], None], once: bool = False) -> Iterator[None]:
    """Let a function handle signals.

    Outside the main thread nothing is changed, nor are signals that the process was started to ignore (nohup).

    Args:
        signals: their numbers.
        handler: takes the number of the signal.
        once: put the former handlers back when it is called.
    """
    former = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in signals}
        former = {number: before for number, before in found.items() if before not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, before in former.items():
            signal.signal(number, before)

    def handle(number: int, _frame: object) -> None:
        if once:
            restore()
        handler(number)

    try:
        for number in former:
            signal.signal(number, handle)
        yield
    finally:
        restore()


def _interrupt(number: int) -> None:
    raise Interruption(number)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Let the other signals that ask a program to end raise `Interruption`, so that it cleans up and reports its end.

    Without this, they end a process on the spot.
    """
    with handling(ENDINGS, _interrupt):
        yield


@dataclass
class Wish:
    """Whether a signal asked to end.

    Attributes:
        number: of the signal; 0 while there was none.
    """

    number: int = 0


@contextmanager
def noted(promise: str, then_at_once: bool = True) -> Iterator[Wish]:
    """Only note the first signal that asks to end, so that work can be brought to an end.

    Args:
        promise: what to say at the first; nothing if it is empty.
        then_at_once: the second ends it at once; otherwise, it is as the first.
    """
    wish = Wish()

    def note(number: int) -> None:
        repeated = bool(wish.number)
        wish.number = number
        if promise and not repeated:
            with suppress(OSError):  # the terminal may be gone
                os.write(STDERR, f"\n{promise}\n".encode())

    with handling((signal.SIGINT, *ENDINGS), note, once=then_at_once):
        yield wish
