"""Every rank and worker reads its share, each sample once in an epoch, in an order that the seed alone decides."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from mofa3d.data.streaming.lanes import MOST_LANES, ShardOrder, lanes_of, lanes_of_reader
from mofa3d.errors import InputError

COUNTS = np.array([5, 1, 12, 0, 7, 3, 9, 4, 4], dtype=np.int64)


def samples(rows) -> list[tuple[int, int]]:
    return [(shard, number) for shard, first, last in rows.tolist() for number in range(first, last)]


ALL = sorted((shard, number) for shard, count in enumerate(COUNTS) for number in range(count))


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (1, 3), (2, 1), (4, 2), (12, 1), (3, 5)])
def test_shares_cover_everything_once_in_every_epoch(world, workers):
    order = ShardOrder(COUNTS, seed=3, lanes=12)
    for epoch in range(3):
        readers = [(rank, world, worker, workers) for rank in range(world) for worker in range(workers)]
        shares = [samples(order.share(epoch, *reader)) for reader in readers]
        assert sorted(chain(*shares)) == ALL
        of_ranks = [sum(len(s) for s in shares[rank * workers : (rank + 1) * workers]) for rank in range(world)]
        assert max(of_ranks) - min(of_ranks) <= 1


def test_a_share_is_the_same_whoever_asks_and_differs_with_seed_and_epoch():
    order = ShardOrder(COUNTS, seed=3, lanes=4)
    first = samples(order.share(5, 1, 2))
    assert samples(pickle.loads(pickle.dumps(order)).share(5, 1, 2)) == first
    assert samples(ShardOrder(COUNTS, seed=4, lanes=4).share(5, 1, 2)) != first
    assert samples(order.share(6, 1, 2)) != first


def test_ranks_share_only_the_shards_at_their_ends():
    order = ShardOrder(np.full(60, 10), seed=0, lanes=24)
    shards = [set(order.share(0, rank, 3)[:, 0].tolist()) for rank in range(3)]
    readers = Counter(shard for of_rank in shards for shard in of_rank)
    assert len(readers) == 60
    assert sum(readers.values()) <= 60 + 2


def test_parts_of_a_lane_are_the_lane():
    order = ShardOrder(COUNTS, seed=1, lanes=3)
    for lane in range(3):
        whole = samples(order.rows(2, lane))
        parts = [samples(order.rows(2, lane, first, first + 4)) for first in range(0, order.length(lane), 4)]
        assert list(chain(*parts)) == whole
        assert len(whole) == order.length(lane) == 15


@pytest.mark.parametrize(("batch", "world", "lanes"), [
    (24, 1, 24), (24, 8, 24), (5, 5, 5), (256, 1, MOST_LANES), (256, 32, MOST_LANES), (1000, 1, 25), (4096, 128, 128),
    (6144, 24, 24), (67, 1, 1),
])  # fmt: skip
def test_lanes_of_a_batch_do_not_depend_on_ranks_that_divide_them(batch, world, lanes):
    assert lanes_of(batch, world) == lanes


def test_readers_of_lanes_are_neighbours():
    found = [lanes_of_reader(8, rank, 2, worker, 3) for rank in range(2) for worker in range(3)]
    assert found == [[0], [1], [2, 3], [4], [5], [6, 7]]


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(InputError, match=r"3 ranks cannot share batches of 8 evenly; give a multiple of 3"):
        lanes_of(8, 3)
    with pytest.raises(InputError, match="2 samples are fewer than the 4 lanes of a batch"):
        ShardOrder(np.array([1, 1]), 0, 4)
