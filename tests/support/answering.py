"""What a worker of the tests answers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator


class OddError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def answering():
    """What a worker makes of a request, which is a name and an argument."""

    def answer(request: tuple) -> Iterator[object]:
        kind, value = request
        if kind == "count":
            yield from range(value)
        elif kind == "process":
            yield os.getpid()
        elif kind == "print":
            sys.stdout.write(f"{value}\n")
            sys.stdout.flush()
            os.write(1, b"from native code\n")
            yield value
        elif kind == "raise":
            yield 1
            raise ValueError(value)
        elif kind == "odd":
            raise OddError(1, value)
        elif kind == "signal":
            yield 1
            os.kill(os.getpid(), value)
            time.sleep(60)
        elif kind == "exit":
            os._exit(value)
        else:
            yield value

    return answer


def failing():
    raise ValueError("never begins")
