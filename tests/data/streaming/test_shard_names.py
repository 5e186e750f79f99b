"""Names of shards are what they were, in a fraction of the memory."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest

from mofa3d.data.streaming.shard_names import ShardNames

NAMES = ["s3://a/b/0.tar", "s3://a/c/0.tar", "s3://a/b/1.tar", "plain.tar", "C:\\x\\é.tar", "/odd/\udcff.tar", "/"]


def test_names_come_back_as_they_were():
    names = ShardNames(iter(NAMES))
    assert list(names) == [names[i] for i in range(len(names))] == NAMES
    assert names.folders == ["s3://a/b/", "s3://a/c/", "", "C:\\x\\", "/odd/", "/"]
    assert list(pickle.loads(pickle.dumps(names))) == NAMES
    assert names.distinct() is names
    assert list(ShardNames([*NAMES, *reversed(NAMES)]).distinct()) == NAMES
    some = names.only(np.arange(len(NAMES)) % 2 == 1)
    assert (list(some), some.folders) == (NAMES[1::2], ["s3://a/c/", "", "/odd/"])
    assert len(ShardNames([])) == 0


def test_a_million_would_take_thirty_megabytes():
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        names = ShardNames(f"s3://bucket/corpus/part-{i // 1000:06d}/shards/{i % 1000:06d}.tar" for i in range(30_000))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(names) == 30_000
    assert used / len(names) < 30
    assert names[29_999].endswith("part-000029/shards/000999.tar")


def test_numbers_outside_are_refused():
    with pytest.raises(IndexError):
        ShardNames(NAMES)[len(NAMES)]
