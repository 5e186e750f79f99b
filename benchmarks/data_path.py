"""The data path of a training on a billion photographs, with ranks that are not there and shards that are all alike."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import fsspec
import numpy as np
from fsspec.spec import AbstractFileSystem
from jaxtyping import Int
from matplotlib import cbook

from mofa3d.data.batches.stream import StreamConfig
from mofa3d.data.corpus.shards import SIZES, Face, encode_crop, write_shard
from mofa3d.data.photo import read_photo
from mofa3d.data.streaming.lanes import ShardOrder, lanes_of
from mofa3d.data.streaming.shard_list import ShardList, find_shards
from mofa3d.data.streaming.shard_stream import ShardStream

SIZE = 240  # pixels of a crop
PROTOCOL = "alike"
PER_FOLDER = 1000  # shards


def photograph() -> np.ndarray:
    """A crop (`SIZE`, `SIZE`, 3) of the portrait that Matplotlib ships."""
    portrait = read_photo(Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return cv2.resize(portrait[60:420, 80:440], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def make_shard(path: Path, count: int) -> int:
    """Write a shard of the same face with all that can be known of one; returns its bytes."""
    random = np.random.default_rng(0)
    dense = random.uniform(0, SIZE, (478, 3)).round(1).tolist()
    points, scores = random.uniform(0, SIZE, (68, 2)).round(2).tolist(), random.random(52).round(3).tolist()
    jpeg = encode_crop(photograph())
    faces = (
        Face(f"{i}.jpg", f"{i}.jpg", landmarks=points, confidence=[1.0] * 68, dense=dense, expression=scores)
        for i in range(count)
    )
    write_shard(path, ((face, jpeg) for face in faces))
    return path.stat().st_size


def shard_counts(samples: int, per_shard: int) -> Int[np.ndarray, "S"]:
    """Samples of shards, the last one with what is left."""
    count = -(-samples // per_shard)
    counts = np.full(count, per_shard, dtype=np.int64)
    counts[-1] = samples - (count - 1) * per_shard
    return counts


@dataclass(frozen=True)
class Coverage:
    """How ranks share an epoch.

    Attributes:
        ranks: how many.
        samples: that all of them read.
        once: every sample is read by one rank, once.
        least, most: samples of a rank.
        shards: that a rank reads at most.
        shared: shards that more than one rank reads.
        seconds: of a core in which a rank finds out its share, at most.
    """

    ranks: int
    samples: int
    once: bool
    least: int
    most: int
    shards: int
    shared: int
    seconds: float


def coverage(counts: np.ndarray, batch: int, ranks: int, epoch: int = 0) -> Coverage:
    """Let each rank name what it reads in an epoch, and put it together.

    Args:
        counts: samples of each shard.
        batch: photographs of a step of all ranks.
        ranks: how many.
        epoch: which.
    """
    order = ShardOrder(counts, 0, lanes_of(batch, ranks))
    sizes, shards, rows, slowest = [], [], [], 0.0
    for rank in range(ranks):
        begun = time.process_time()
        pieces = order.share(epoch, rank, ranks)
        slowest = max(slowest, time.process_time() - begun)
        sizes.append(int((pieces[:, 2] - pieces[:, 1]).sum()))
        shards.append(np.unique(pieces[:, 0]))
        rows.append(pieces)
    every = np.concatenate(rows)
    every = every[np.lexsort((every[:, 1], every[:, 0]))]
    new = np.r_[True, every[1:, 0] != every[:-1, 0]]
    follows = np.where(new[1:], every[1:, 1] == 0, every[1:, 1] == every[:-1, 2])
    ends = np.r_[new[1:], True]
    complete = np.array_equal(every[ends, 2], counts) and np.array_equal(every[new, 0], np.arange(len(counts)))
    readers = np.bincount(np.concatenate(shards), minlength=len(counts))
    return Coverage(
        ranks,
        sum(sizes),
        bool(follows.all() and every[0, 1] == 0 and complete),
        min(sizes),
        max(sizes),
        max(map(len, shards)),
        int((readers > 1).sum()),
        slowest,
    )


class ShardsAlike(AbstractFileSystem):
    """Any number of shards, each with the same bytes, in folders that say how many samples their shards have."""

    protocol = PROTOCOL
    content = b""
    counts = np.zeros(0, dtype=np.int64)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes, copied as those that come over a network."""
        content = self._sizes(path) if path.endswith(SIZES) else self.content
        return bytes(memoryview(content)[start:end])

    def _sizes(self, path: str) -> bytes:
        first = int(path.rsplit("/", 3)[1].removeprefix("part-")) * PER_FOLDER
        counts = np.zeros(PER_FOLDER, dtype=np.int64)
        known = self.counts[first : first + PER_FOLDER]
        counts[: len(known)] = known
        return json.dumps({f"{i:06d}.tar": count for i, count in enumerate(counts.tolist())}).encode()


def find_simulated(samples: int, per_shard: int, shard: Path) -> ShardList:
    """Find shards that are all alike by their pattern, as in a bucket.

    Args:
        samples, per_shard: how many faces there are, and in each shard.
        shard: a file that has the content of every shard.
    """
    ShardsAlike.content, ShardsAlike.counts = shard.read_bytes(), shard_counts(samples, per_shard)
    fsspec.register_implementation(PROTOCOL, ShardsAlike, clobber=True)
    last = (len(ShardsAlike.counts) - 1) // PER_FOLDER
    parts, files = f"{{000000..{last:06d}}}", f"{{000000..{PER_FOLDER - 1:06d}}}"
    return find_shards(f"{PROTOCOL}://bucket/corpus/part-{parts}/shards/{files}.tar", shard.parent)


@dataclass(frozen=True)
class Reading:
    """What one rank needed to read batches.

    Attributes:
        peak: bytes of memory of its process, everything included.
        begin: seconds of a core to the first batch, with the list of shards.
        rate: photographs per second of a core after it.
    """

    peak: float
    begin: float
    rate: float


def read_simulated(shard: Path, samples: int, per_shard: int, batch: int, rank: int, ranks: int, steps: int) -> Reading:
    """Read some batches as one of many ranks does, in a process of its own.

    Args:
        shard: a file that has the content of every shard.
        samples, per_shard: how many faces there are, and in each shard.
        batch: photographs of a step of all ranks.
        rank, ranks: who reads.
        steps: how many batches.
    """
    begun = time.process_time()
    # One less in the last shard would be a shard that ends too early.
    shards = find_simulated(samples - samples % per_shard or per_shard, per_shard, shard)
    stream = ShardStream(shards, 0.08, 0, StreamConfig()).batches(batch, 0, 0, None, "cpu", rank, ranks)
    next(stream)
    first = time.process_time()
    read = sum(len(rows["index"]) for rows in islice(stream, steps))
    seconds = time.process_time() - first
    return Reading(peak_memory(), first - begun, read / seconds)


def peak_memory() -> float:
    """Bytes that this process has had at most; NaN where nobody keeps count."""
    if importlib.util.find_spec("resource") is None:
        return math.nan
    resource = importlib.import_module("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
