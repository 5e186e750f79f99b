"""An endless, repeatable stream of training batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from mofa3d.data.batches.augment import AugmentConfig, augment
from mofa3d.environment.processes import ALONE, Processes
from mofa3d.errors import InputError
from mofa3d.numeric_options import check_ranges

AHEAD = 2  # batches prepared in advance
WINDOW = 32  # shards among whose items a stream shuffles at a time
OnUnreadable = Literal["stop", "skip"]


@dataclass(frozen=True)
class StreamConfig:
    """How shards are streamed.

    Attributes:
        buffer: faces that are shuffled at a time, of all ranks together; they come from as many places of the corpus as
            a batch has lanes, up to 32.
        workers: processes that decode and change photographs, of each rank; 0 means threads of the training itself.
        unreadable: whether a shard that cannot be read ends the training, or is named and left out.
    """

    buffer: int = 4096
    workers: int = 0
    unreadable: OnUnreadable = "stop"

    def __post_init__(self) -> None:
        check_ranges(self, buffer=(1, 100_000_000), workers=(0, 1024))


class Shuffle:
    """The order in which a training sees its items: every epoch is a permutation of its own, batches run across epochs.

    Args:
        indices: which items to draw from.
        seed: the same seed gives the same order.
        shards: number of the shard that each of these items lies in. An epoch then goes through the shards, `WINDOW` at
            a time, in random order and at random within these: what is read lies close together, which corpora on slow
            or distant disks need. Without it, an epoch is a permutation of all items.

    Raises:
        InputError: no items.
    """

    def __init__(self, indices: Sequence[int], seed: int, shards: Sequence[int] | None = None) -> None:
        if not len(indices):
            raise InputError("there is nothing to train on; give more photographs or hold fewer out")
        self.indices, self.seed = indices, seed
        self.shards = torch.zeros(len(indices), dtype=torch.long) if shards is None else torch.as_tensor(shards)
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def batch(self, size: int, iteration: int) -> list[int]:
        """Items of one iteration."""
        chosen: list[int] = []
        position = iteration * size
        while len(chosen) < size:
            epoch, offset = divmod(position + len(chosen), len(self.indices))
            chosen += self.epoch(epoch)[offset : offset + size - len(chosen)]
        return chosen

    def _epoch(self, number: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, number, 0))
        names, shard = self.shards.unique(return_inverse=True)
        window = torch.randperm(len(names), generator=generator)[shard] // WINDOW
        shuffled = torch.randperm(len(self.indices), generator=generator)
        order = shuffled[window[shuffled].argsort(stable=True)]
        return [self.indices[i] for i in order.tolist()]


def seed_of(*numbers: int) -> int:
    """A seed that numbers decide together, with no two alike in practice."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def batches(
    dataset: Dataset,
    indices: Sequence[int],
    batch_size: int,
    seed: int,
    start: int = 0,
    changes: AugmentConfig | None = None,
    shards: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
    processes: Processes = ALONE,
) -> Iterator[dict[str, Tensor]]:
    """Batches from iteration `start` on; the same seed and iteration give the same batch, so training can be resumed.

    The next batches are prepared in threads while the current one is used.

    Args:
        dataset: items are dictionaries of tensors.
        indices: which items to draw from.
        batch_size: items of a batch, of all processes together.
        changes: how items are changed at random; ``None`` mirrors half of them.
        shards: number of the shard of each of the indices, see `Shuffle`.
        processes: that train together; this one reads its rows of each batch, and no other items.

    Raises:
        InputError: no items, or batches that cannot be divided among the processes.
    """
    changes = changes or AugmentConfig()
    shuffle, rows = Shuffle(indices, seed, shards), processes.rows(batch_size)

    def load(iteration: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed_of(seed, iteration, 1))
        items = [dataset[i] for i in shuffle.batch(batch_size, iteration)[rows]]
        shared = set.intersection(*(set(item) for item in items))
        batch = default_collate([{name: item[name] for name in shared} for item in items])
        return augment(batch, changes, generator, processes.rank, processes.count)

    with ThreadPoolExecutor(AHEAD) as pool:
        pending = deque(pool.submit(load, start + i) for i in range(AHEAD))
        for iteration in count(start + AHEAD):
            batch = pending.popleft().result()
            pending.append(pool.submit(load, iteration))
            yield {name: value.to(device) for name, value in batch.items()}
