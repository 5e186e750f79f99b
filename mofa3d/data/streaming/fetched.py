"""Shards that were fetched as a whole, until they are read."""

from __future__ import annotations

import mmap
import os


class FetchedShard:
    """A shard in memory that is its own, and given back as it is read.

    Among the small crops that stay, large blocks that come and go would leave holes in the memory of the process.

    Args:
        content: of the shard; copied.
    """

    def __init__(self, content: bytes) -> None:
        self._position = 0
        self._hold(content)

    def _hold(self, content: bytes) -> None:
        self._size = len(content)
        self._memory = mmap.mmap(-1, max(self._size, 1))
        self._memory[: self._size] = content

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes."""
        end = self._size if size < 0 else min(self._position + size, self._size)
        found = self._memory[self._position : end]
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go on elsewhere; after `release`, offsets from the beginning mean another place."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def release(self) -> None:
        """Let go of what lies behind."""
        rest = self.read()
        self._memory.close()
        self._position = 0
        self._hold(rest)

    def close(self) -> None:
        """Let go of all of it."""
        self._memory.close()
