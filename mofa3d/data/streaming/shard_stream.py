"""An endless, repeatable stream of training batches out of shards that no index describes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from itertools import count

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

from mofa3d.data.batches.augment import AugmentConfig, Changes, apply_changes, draw_changes
from mofa3d.data.batches.stream import AHEAD, StreamConfig, seed_of
from mofa3d.data.corpus.split import held_out
from mofa3d.data.streaming.lanes import ShardOrder, lanes_of, lanes_of_reader
from mofa3d.data.streaming.samples import Sample
from mofa3d.data.streaming.shard_list import ShardList
from mofa3d.data.streaming.windows import Windows
from mofa3d.environment.ranks import rank_and_world
from mofa3d.errors import InputError

Batch = dict[str, Tensor]


class ShardStream:
    """Training batches of shards.

    Args:
        shards: which.
        held_out_fraction: of the identities that are not trained on.
        seed: of that choice.
        config: how.

    Attributes:
        fraction, seed: of what is held out.
    """

    def __init__(
        self, shards: ShardList, held_out_fraction: float = 0.0, seed: int = 0, config: StreamConfig | None = None
    ) -> None:
        self.shards, self.config = shards, config or StreamConfig()
        self.fraction, self.seed = held_out_fraction, seed

    def is_held_out(self, sample: Sample) -> bool:
        """Whether it is for validation; see `mofa3d.data.corpus.split.held_out`."""
        return held_out([sample.identity], self.fraction, self.seed)[0]

    def batches(
        self,
        batch_size: int,
        seed: int,
        start: int = 0,
        changes: AugmentConfig | None = None,
        device: str | torch.device = "cpu",
        rank: int | None = None,
        world: int | None = None,
    ) -> Iterator[Batch]:
        """This rank's rows of the batches from iteration `start` on; the same seed and iteration give the same ones.

        The rows of all ranks, one after the other, are the batch of one process alone, with its random changes.

        Args:
            batch_size: of all ranks together.
            seed: of the order and the changes.
            start: iteration.
            changes: how items are changed at random; ``None`` mirrors half of them.
            device: where they go.
            rank, world: which share; by default as torch.distributed says.

        Yields:
            Items as `mofa3d.data.corpus.dataset.Corpus` has them, as one batch.

        Raises:
            InputError: the ranks cannot share a batch, there are too few samples, or a shard cannot be read.
        """
        known = rank_and_world()
        own, of = known[0] if rank is None else rank, known[1] if world is None else world
        order = ShardOrder(self.shards.counts, seed, lanes_of(batch_size, of))
        rows = partial(_Rows, self, order, batch_size, changes or AugmentConfig(), start, own, of)
        for batch in _joined(rows, self.config.workers) if self.config.workers else rows().in_threads(0, 1):
            yield {name: value.to(device) for name, value in batch.items()}


class _Rows(IterableDataset):
    """Rows of the batches: of the lanes that one worker of one rank reads."""

    def __init__(
        self,
        stream: ShardStream,
        order: ShardOrder,
        batch_size: int,
        changes: AugmentConfig,
        start: int,
        rank: int,
        world: int,
    ) -> None:
        self._stream, self._order, self._batch_size, self._changes = stream, order, batch_size, changes
        self._start, self._rank, self._world = start, rank, world

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        return self.in_threads(0, 1) if info is None else self.in_threads(info.id, info.num_workers)

    def in_threads(self, worker: int, workers: int) -> Iterator[Batch]:
        """The rows of a worker, the next ones prepared in threads while the current ones are used."""
        lanes = lanes_of_reader(self._order.lanes, self._rank, self._world, worker, workers)
        config = self._stream.config
        windows = Windows(
            self._stream.shards,
            self._order,
            max(1, config.buffer // self._order.lanes),
            lambda sample: not self._stream.is_held_out(sample),
            config.unreadable,
        )
        try:
            with ThreadPoolExecutor(AHEAD) as pool:
                pending = deque(pool.submit(self._load, windows, lanes, self._start + i) for i in range(AHEAD))
                for iteration in count(self._start + AHEAD):
                    rows = pending.popleft().result()
                    pending.append(pool.submit(self._load, windows, lanes, iteration))
                    yield rows
        finally:
            windows.close()

    def _load(self, windows: Windows, lanes: list[int], iteration: int) -> Batch:
        if not lanes:  # more workers than lanes
            return {}
        of_lane = self._batch_size // self._order.lanes
        items = [windows.item(lane, iteration * of_lane + i) for lane in lanes for i in range(of_lane)]
        shared = set.intersection(*(set(item) for item in items))
        batch = default_collate([{name: item[name] for name in shared} for item in items])
        generator = torch.Generator().manual_seed(seed_of(self._order.seed, iteration, 1))
        size = batch["image"].shape[-1], batch["image"].shape[-2]
        every = draw_changes(self._changes, self._batch_size, size, generator)
        return apply_changes(batch, _rows_of(every, lanes[0] * of_lane, len(items)), self._changes)


def _rows_of(changes: Changes, first: int, count: int) -> Changes:
    return Changes(**{field.name: getattr(changes, field.name)[first : first + count] for field in fields(changes)})


def _joined(rows: partial[_Rows], workers: int) -> Iterator[Batch]:
    """Batches of the rows that processes give, which take turns in a fixed order."""
    loader = DataLoader(
        rows(), batch_size=None, num_workers=workers, prefetch_factor=AHEAD, multiprocessing_context="spawn"
    )
    parts = iter(loader)
    while True:
        try:
            found = [part for part in [next(parts) for _ in range(workers)] if part]
        except InputError as error:  # with the traceback of the process, which is no help to who can mend it
            raise InputError(str(error).strip().splitlines()[-1].partition(": ")[2]) from None
        shared = set.intersection(*(set(part) for part in found))
        yield {name: torch.cat([part[name] for part in found]) for name in shared}
