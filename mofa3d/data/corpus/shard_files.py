"""The shards of a corpus as files to read from at any place: on this machine, or behind a URL."""

from __future__ import annotations

import os
from collections import OrderedDict, defaultdict
from pathlib import Path
from threading import Lock
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from mofa3d.data.corpus.content import check_places
from mofa3d.data.corpus.shards import open_to_read, read_at

MOST_HELD = 1 << 29  # bytes of shards that are kept in memory
LARGEST = 1 << 26  # bytes of a shard that is fetched as a whole; of larger ones, crop by crop


@runtime_checkable
class ShardFiles(Protocol):
    """Where the bytes of a corpus's crops come from; several threads may read at once."""

    def check(self, place: Int[np.ndarray, "K 3"]) -> None:
        """Raises InputError where crops lie outside the shards, as far as that is known."""

    def name(self, shard: int) -> str:
        """What to call a shard in messages."""

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """Some bytes; raises InputError or OSError."""


class LocalShards:
    """Files of a folder, opened when they are needed.

    Args:
        folder: of the shards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[int, int] = {}

    def check(self, place: Int[np.ndarray, "K 3"]) -> None:
        """See `ShardFiles`."""
        check_places(self.folder, place)

    def name(self, shard: int) -> str:
        """See `ShardFiles`."""
        return str(self._path(shard))

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}.tar"

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """See `ShardFiles`."""
        if shard not in self._files:
            opened = open_to_read(self._path(shard))
            if self._files.setdefault(shard, opened) != opened:
                os.close(opened)  # another thread was faster
        return read_at(self._files[shard], size, offset)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_files": {}}  # open files stay with their process

    def __del__(self) -> None:
        for file in getattr(self, "_files", {}).values():
            os.close(file)


class RemoteShards:
    """Files behind a URL: a few whole shards are kept in memory, as an epoch goes through a few at a time.

    Args:
        url: of the folder of the shards.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._start()

    def _start(self) -> None:
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._lengths: dict[int, int] = {}
        self._locks: dict[int, Lock] = defaultdict(Lock)
        self._counting = Lock()

    def check(self, place: Int[np.ndarray, "K 3"]) -> None:
        """Take note how long the shards are; whether they are as long is seen when they are read."""
        ends = np.zeros(int(place[:, 0].max()) + 1, dtype=np.int64)
        np.maximum.at(ends, place[:, 0], place[:, 1] + place[:, 2])
        self._lengths = dict(enumerate(ends.tolist()))

    def name(self, shard: int) -> str:
        """See `ShardFiles`."""
        from mofa3d.data.remote import join

        return join(self.url, f"{shard:06d}.tar")

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """See `ShardFiles`."""
        from mofa3d.data.remote import read_url

        if self._lengths.get(shard, 0) > LARGEST:
            return read_url(self.name(shard), offset, offset + size)
        with self._counting:
            lock = self._locks[shard]
        with lock:  # who needs the same shard waits for it
            content = self._held.get(shard)
            if content is None:
                content = read_url(self.name(shard))
            self._keep(shard, content)
        return content[offset : offset + size]

    def _keep(self, shard: int, content: bytes) -> None:
        """Hold what was asked for last, as much as there is place for."""
        with self._counting:
            self._held[shard] = content
            self._held.move_to_end(shard)
            while sum(map(len, self._held.values())) > MOST_HELD and len(self._held) > 1:
                self._held.popitem(last=False)

    def __getstate__(self) -> dict:
        return {"url": self.url, "_lengths": self._lengths}

    def __setstate__(self, state: dict) -> None:
        self._start()
        self.__dict__.update(state)
