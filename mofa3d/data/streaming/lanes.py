"""Who reads which part of a list of shards in which order: a function of numbers alone, whatever the shards hold.

Every epoch puts the shards in a random order, one after the other, and cuts what they hold into lanes of equal length.
A batch takes as much from each lane, and a rank reads the lanes of its rows: so the batches of N ranks together are
those of one process, every sample comes once in an epoch, and nobody needs more than the numbers of samples.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int

from mofa3d.errors import InputError

MOST_LANES = 32  # unless there are more ranks: each holds a shuffle buffer


def lanes_of(batch_size: int, world: int = 1) -> int:
    """How many lanes batches of a size have: the same for every number of ranks that divides them.

    Args:
        batch_size: of all ranks together.
        world: number of ranks.

    Raises:
        InputError: the ranks cannot share such a batch evenly.
    """
    if batch_size % world:
        raise InputError(f"{world} ranks cannot share batches of {batch_size} evenly; give a multiple of {world}")
    possible = [n for n in range(1, min(batch_size, max(MOST_LANES, world)) + 1) if batch_size % n == 0]
    return possible[-1] if possible[-1] % world == 0 else [n for n in possible if n % world == 0][-1]


def lanes_of_reader(lanes: int, rank: int = 0, world: int = 1, worker: int = 0, workers: int = 1) -> list[int]:
    """Lanes that one worker of one rank reads: neighbours, so that ranks share few shards."""
    of_rank = range(rank * lanes // world, (rank + 1) * lanes // world)
    count = len(of_rank)
    return list(of_rank[worker * count // workers : (worker + 1) * count // workers])


class ShardOrder:
    """The order of all samples in every epoch.

    Args:
        counts: samples of each shard.
        seed: the same seed gives the same order.
        lanes: how many, see `lanes_of`.

    Raises:
        InputError: there are fewer samples than lanes.
    """

    def __init__(self, counts: Int[np.ndarray, "S"], seed: int, lanes: int) -> None:
        self.counts, self.seed, self.lanes = counts, seed, lanes
        self.total = int(counts.sum(dtype=np.int64))
        if self.total < lanes:
            raise InputError(f"{self.total} samples are fewer than the {lanes} lanes of a batch; give more samples")
        self._start()

    def _start(self) -> None:
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_epoch"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._start()

    def _shuffled(self, epoch: int) -> tuple[Int[np.ndarray, "S"], Int[np.ndarray, "S"]]:
        """Numbers of the shards in their order, and where each one's samples end in it."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.counts))
        return order, np.cumsum(self.counts[order], dtype=np.int64)

    def bounds(self, lane: int) -> tuple[int, int]:
        """Where a lane begins and ends among the samples of an epoch."""
        return lane * self.total // self.lanes, (lane + 1) * self.total // self.lanes

    def length(self, lane: int) -> int:
        """Samples of a lane in an epoch; lanes differ by one at most."""
        first, last = self.bounds(lane)
        return last - first

    def rows(self, epoch: int, lane: int, first: int = 0, last: int | None = None) -> Int[np.ndarray, "P 3"]:
        """What a lane reads in an epoch, from its `first` sample to before its `last`.

        Returns:
            Number of a shard, from which of its samples on, and to before which, in the order of reading.
        """
        begin, end = self.bounds(lane)
        return self._between(epoch, begin + first, end if last is None else min(begin + last, end))

    def share(
        self, epoch: int, rank: int = 0, world: int = 1, worker: int = 0, workers: int = 1
    ) -> Int[np.ndarray, "P 3"]:
        """What one worker of one rank reads in an epoch, all its lanes together; see `rows`."""
        lanes = lanes_of_reader(self.lanes, rank, world, worker, workers)
        if not lanes:
            return np.empty((0, 3), dtype=np.int64)
        return self._between(epoch, self.bounds(lanes[0])[0], self.bounds(lanes[-1])[1])

    def _between(self, epoch: int, begin: int, stop: int) -> Int[np.ndarray, "P 3"]:
        order, ends = self._epoch(epoch)
        if stop <= begin:
            return np.empty((0, 3), dtype=np.int64)
        part = slice(int(np.searchsorted(ends, begin, "right")), int(np.searchsorted(ends, stop, "left")) + 1)
        shards, last = order[part], ends[part]
        start = last - self.counts[shards]
        found = np.column_stack([shards, np.maximum(begin - start, 0), np.minimum(stop - start, last - start)])
        return found[found[:, 1] < found[:, 2]]
