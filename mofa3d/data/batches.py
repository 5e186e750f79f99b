"""An endless, repeatable stream of training batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from mofa3d.data.augment import AugmentConfig, augment

AHEAD = 2  # batches prepared in advance


def batch_indices(indices: Sequence[int], batch_size: int, seed: int, iteration: int) -> list[int]:
    """Items of one iteration: every epoch is a permutation of its own, and batches run across epochs."""
    count = len(indices)
    chosen, position = [], iteration * batch_size
    while len(chosen) < batch_size:
        epoch, offset = divmod(position + len(chosen), count)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(_seed(seed, epoch, 0)))
        chosen += [indices[i] for i in order[offset : offset + batch_size - len(chosen)].tolist()]
    return chosen


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def batches(
    dataset: Dataset,
    indices: Sequence[int],
    batch_size: int,
    seed: int,
    start: int = 0,
    changes: AugmentConfig | None = None,
    part: tuple[int, int] = (0, 1),
    device: str | torch.device = "cpu",
) -> Iterator[dict[str, Tensor]]:
    """Batches from iteration `start` on; the same seed and iteration give the same batch, so training can be resumed.

    The next batches are prepared in threads while the current one is used.

    Args:
        dataset: items are dictionaries of tensors.
        indices: which items to draw from.
        changes: how items are changed at random; ``None`` mirrors half of them.
        part: number of this process and of all that train together; each gets every so many items of the indices.

    Raises:
        ValueError: no items.
    """
    changes = changes or AugmentConfig()
    rank, world = part
    indices = indices[rank::world]
    if not indices:
        raise ValueError("there is nothing to train on; give more photographs or hold fewer out")

    def load(iteration: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(_seed(seed, iteration, 1 + rank))
        items = [dataset[i] for i in batch_indices(indices, batch_size, seed, iteration)]
        items = [augment(item, changes, generator) for item in items]
        shared = set.intersection(*(set(item) for item in items))
        return default_collate([{name: item[name] for name in shared} for item in items])

    with ThreadPoolExecutor(AHEAD) as pool:
        pending = deque(pool.submit(load, start + i) for i in range(AHEAD))
        for iteration in count(start + AHEAD):
            batch = pending.popleft().result()
            pending.append(pool.submit(load, iteration))
            yield {name: value.to(device) for name, value in batch.items()}
