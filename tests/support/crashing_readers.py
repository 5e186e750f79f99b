"""Readers that end their process, as decoders with faults do; the files' names say how."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from mofa3d.data.photo import Photo
from mofa3d.data.sources import Item, Reader
from mofa3d.data.video import TimedFrame, VideoInfo, read_frames


class CrashingReader(Reader):
    """Crashes at whatever has "abort", "segfault" or "exit" in its name; at "once", where it leaves a note, once."""

    def read(self, item: Item) -> Photo:
        crash(item.path)
        return super().read(item)

    def count_frames(self, path: Path) -> int:
        crash(path)
        return super().count_frames(path)

    def info(self, path: Path) -> VideoInfo:
        crash(path)
        return super().info(path)

    def frames(self, path: Path) -> Iterator[TimedFrame]:
        for number, frame in enumerate(read_frames(path)):
            if number == 3 and "later" in path.name:
                os.abort()
            yield frame


class SlowReader(Reader):
    """Never comes to an end."""

    def read(self, item: Item) -> Photo:
        time.sleep(600)
        return super().read(item)


def crash(path: Path) -> None:
    note = path.with_suffix(".note")
    if "once" in path.name and not note.exists():
        note.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "abort" in path.name:
        os.abort()
    if "segfault" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "exit" in path.name:
        os._exit(7)
