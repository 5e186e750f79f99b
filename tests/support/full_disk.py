"""A disk that is full."""

from __future__ import annotations

import errno
import os


class FullDisk:
    """A file on a disk that has room for a few bytes."""

    def __init__(self, file, room: int = 10) -> None:
        self.file, self.left = file, room

    def write(self, data) -> int:
        if len(bytes(data)) > self.left:
            self.file.write(bytes(data)[: self.left])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(bytes(data))
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def __getattr__(self, name: str):
        return getattr(self.file, name)
