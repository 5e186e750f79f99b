"""Shuffle buffers: what a lane reads, a window at a time, in an order that its place alone decides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mofa3d.data.batches.stream import OnUnreadable, seed_of
from mofa3d.data.remote import is_url, naming_url
from mofa3d.data.streaming.lanes import ShardOrder
from mofa3d.data.streaming.samples import Sample, ShardReader, to_sample
from mofa3d.data.streaming.shard_list import ShardList, open_shard
from mofa3d.errors import InputError

_LOG = logging.getLogger(__name__)
READERS = 4  # threads that fetch shards
MOST_EMPTY = 64  # windows without a sample, one after the other, after which nothing is expected any more

Place = tuple[int, int, int]  # lane, epoch, number of the window


@dataclass(frozen=True)
class Window:
    """Samples of one place.

    Attributes:
        samples: that can be used.
        order: for each position, which of them comes; some come twice in the place of those that cannot be used.
    """

    samples: list[Sample]
    order: list[int]

    def item(self, position: int, on_damage: Callable[[Sample, InputError], None]) -> dict[str, Tensor] | None:
        """The decoded sample of a position; in place of a damaged one, the next one; ``None`` if all are.

        Args:
            position: in the window.
            on_damage: is told of each damaged one, and may raise.
        """
        for step in range(len(self.samples)):
            sample = self.samples[(self.order[position] + step) % len(self.samples)]
            try:
                return sample.item()
            except InputError as error:
                on_damage(sample, error)
        return None


class Windows:
    """The windows of all lanes, fetched ahead by threads.

    Args:
        shards: what there is.
        order: in which it comes.
        size: samples of a window, among which their order is random.
        wanted: which samples to use.
        on_unreadable: "stop" at a shard that cannot be read, or "skip" it: then others come twice in its place.

    Attributes:
        unreadable: shards that were left out, with their reasons.
    """

    def __init__(
        self,
        shards: ShardList,
        order: ShardOrder,
        size: int,
        wanted: Callable[[Sample], bool],
        on_unreadable: OnUnreadable,
    ) -> None:
        self._shards, self._order, self._size, self._wanted = shards, order, size, wanted
        self._starts = shards.starts
        self._on_unreadable = on_unreadable
        self.unreadable: dict[str, str] = {}
        self._held: dict[int, dict[Place, Future[Window]]] = {lane: {} for lane in range(order.lanes)}
        self._open: dict[int, tuple[int, ShardReader]] = {}
        self._locks = {lane: threading.Lock() for lane in range(order.lanes)}
        self._reading = {lane: threading.Lock() for lane in range(order.lanes)}
        self._telling = threading.Lock()
        self._pool = ThreadPoolExecutor(READERS, "shards")

    def close(self) -> None:
        """End the threads and close the shards."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for _, reader in self._open.values():
            reader.close()
        self._open.clear()

    def item(self, lane: int, position: int) -> dict[str, Tensor]:
        """The sample at a position of a lane, counted over all epochs.

        Raises:
            InputError: it cannot be read, or nothing can.
        """
        epoch, inside = divmod(position, self._order.length(lane))
        place, offset = (lane, epoch, inside // self._size), inside % self._size
        future = self._fetched(place)
        if offset >= self._size // 2:
            self._keep_only(place)
            self._fetched(self._next(place))  # while the rest of this one is used
        for _ in range(MOST_EMPTY):
            window = future.result()
            item = window.item(offset % len(window.order), self._damaged) if window.samples else None
            if item is not None:
                return item
            place = self._other(place)
            future = self._pool.submit(self.load, place)
        told = [f"{name}: {reason}" for name, reason in self.unreadable.items()] or ["all faces are held out"]
        raise InputError(f"there is nothing to train on in {MOST_EMPTY} places of the shards ({told[-1]})")

    def _fetched(self, place: Place) -> Future[Window]:
        with self._locks[place[0]]:
            held = self._held[place[0]]
            if place not in held:
                held[place] = self._pool.submit(self.load, place)
            return held[place]

    def _keep_only(self, place: Place) -> None:
        """Forget the window before, which no batch in progress asks for any more."""
        with self._locks[place[0]]:
            held = self._held[place[0]]
            for other in [other for other in held if other[1:] < place[1:]]:
                del held[other]

    def _next(self, place: Place) -> Place:
        lane, epoch, number = place
        last = (number + 1) * self._size >= self._order.length(lane)
        return (lane, epoch + 1, 0) if last else (lane, epoch, number + 1)

    def _other(self, place: Place) -> Place:
        """Where to look when a window has nothing: the next one of the epoch, in whatever lane."""
        lane, epoch, number = place
        if (number + 1) * self._size < self._order.length(lane):
            return lane, epoch, number + 1
        return (lane + 1) % self._order.lanes, epoch, 0

    def load(self, place: Place) -> Window:
        """Fetch a window.

        Raises:
            InputError: a shard cannot be read, and that is to stop everything.
        """
        lane, epoch, number = place
        first = number * self._size
        count = min(self._size, self._order.length(lane) - first)
        samples: list[Sample] = []
        with self._reading[lane]:
            for run in self._order.rows(epoch, lane, first, first + count).tolist():
                samples += [sample for sample in self._read(lane, *run) if self._wanted(sample)]
        random = np.random.default_rng(seed_of(self._order.seed, epoch, lane, number))
        order: list[int] = []
        while samples and len(order) < count:
            order += random.permutation(len(samples)).tolist()
        return Window(samples, order[:count])

    def _read(self, lane: int, shard: int, first: int, last: int) -> list[Sample]:
        """Samples of a shard; none if it cannot be read and is to be left out."""
        name = self._shards.names[shard]
        start = int(self._starts[shard]) + first
        try:
            found = self._taken(lane, shard, first, last)
            return [to_sample(fields, jpeg, start + number) for number, (fields, jpeg) in enumerate(found)]
        except (InputError, OSError) as error:
            self._forget(lane)
            self._leave_out(name, error)
            return []

    def _taken(self, lane: int, shard: int, first: int, last: int) -> list[tuple[dict, bytes]]:
        name, count = self._shards.names[shard], int(self._shards.counts[shard])
        opened, reader = self._open.get(lane, (-1, None))
        if reader is None or opened != shard or reader.position > first:
            self._forget(lane)
            reader = ShardReader(open_shard(name, count))
            self._open[lane] = (shard, reader)
        with naming_url(name) if is_url(name) else nullcontext():
            found = reader.take(first, last)
        if last == count:
            self._forget(lane)
        else:
            reader.release()
        return found

    def _forget(self, lane: int) -> None:
        _, reader = self._open.pop(lane, (-1, None))
        if reader is not None:
            reader.close()

    def _damaged(self, sample: Sample, error: InputError) -> None:
        shard = int(np.searchsorted(self._starts, sample.index, side="right")) - 1
        self._leave_out(f"{sample.key} in {self._shards.names[shard]}", error)

    def _leave_out(self, name: str, error: Exception) -> None:
        reason = str(error).removeprefix(f"{name}: ")
        if self._on_unreadable == "stop":
            how = "mend or remove it, or go on without: --streaming.unreadable skip"
            raise InputError(f"{name}: {reason}; {how}") from None
        with self._telling:
            known = name in self.unreadable
            self.unreadable[name] = reason
        if not known:
            _LOG.warning("%s is left out: %s", name, reason)
