"""Reads photographs and videos in a process of its own: what crashes a decoder is a file that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mofa3d.data.photo import Photo
from mofa3d.data.sources import Item, Reader
from mofa3d.data.video import TimedFrame, VideoInfo
from mofa3d.environment.isolation import DiedError, Worker
from mofa3d.errors import InputError

ATTEMPTS = 2  # the first process may have been ended by somebody


class IsolatedReader(Reader):
    """A `Reader` that survives what it reads.

    It starts when it is needed. Pixels come over in about a millisecond per megapixel.

    Args:
        make: makes the reader of the other process.
    """

    def __init__(self, make: Callable[[], Reader] = Reader) -> None:
        super().__init__()
        self._worker: Worker | None = None
        self._make = make

    def start(self) -> Worker:
        """Start the process now, while there is other work to do."""
        if self._worker is None:
            self._worker = Worker(partial(_Serving, self._make))
        return self._worker

    def read(self, item: Item) -> Photo:
        """Raises InputError with the reason when it cannot be used."""
        return self._ask("read", item, item.path)

    def count_frames(self, path: Path) -> int:
        """See `mofa3d.data.frame_picker.count_frames`."""
        return self._ask("count_frames", path, path)

    def info(self, path: Path) -> VideoInfo:
        """See `mofa3d.data.video.read_info`."""
        return self._ask("info", path, path)

    def frames(self, path: Path) -> Iterator[TimedFrame]:
        """See `mofa3d.data.video.read_frames`; nothing else can be read before their end."""
        worker = self.start()
        ended = False
        try:
            yield from worker.answers(("frames", path))
            ended = True
        except DiedError as death:
            raise InputError(crashed(path, death)) from None
        finally:
            if not ended:
                self.close()

    def _ask(self, method: str, argument: Item | Path, name: Path) -> Any:
        for _ in range(ATTEMPTS):
            try:
                [answer] = self.start().answers((method, argument))
                return answer
            except DiedError as death:
                reason = crashed(name, death)
        raise InputError(reason)

    def close(self) -> None:
        """End the process; who reads further starts another one."""
        if self._worker is not None:
            self._worker.close()


def crashed(name: object, death: DiedError) -> str:
    """What to say about a file at which processes end."""
    return f"{name} crashes the program that reads it ({death}); replace it or leave it out"


class _Serving:
    """Answers with what a reader's methods give."""

    def __init__(self, make: Callable[[], Reader]) -> None:
        self._reader = make()

    def __call__(self, request: tuple[str, Item | Path]) -> Iterator[object]:
        method, argument = request
        answer = getattr(self._reader, method)(argument)
        if method == "frames":
            yield from answer
        else:
            yield answer
