"""What one core needs to turn a photograph into an item of a batch, and to prepare one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import torch
from matplotlib import cbook
from torch.utils.data import default_collate

from benchmarks.data_path import make_shard
from mofa3d.data.batches.augment import AugmentConfig, augment
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.examine import examine
from mofa3d.data.sources import Item, Reader
from mofa3d.data.streaming.samples import ShardReader, to_sample

BATCH = 24
CHANGES = AugmentConfig(shift=6.0, scale=0.1, rotation=10.0, color=0.1, occluders=0.3)


@dataclass(frozen=True)
class LoaderCosts:
    """Seconds of one core for a photograph.

    Attributes:
        read: to take it out of a shard that is in memory.
        decode: its crop.
        change: at random, in every way there is.
        size: bytes of it in a shard.
        prepare: to find the face and its points in a photograph of 512 × 600 pixels.
    """

    read: float
    decode: float
    change: float
    size: float
    prepare: float


def measure_loader(repeats: int = 5) -> LoaderCosts:
    """Measure in this process, with one thread; medians of the time of its core, whatever else the machine does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "shard.tar"
            size = make_shard(path, BATCH) / BATCH

            def read() -> list:
                with open(path, "rb") as file:
                    return [to_sample(about, jpeg, 0) for about, jpeg in ShardReader(file).take(0, BATCH)]

            samples = read()
            batch = default_collate([sample.item() for sample in samples])
            photo = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
            reader, item, config = Reader(), Item("a.jpg", photo, photo.parent), PrepareConfig()
            generator = torch.Generator().manual_seed(0)
            return LoaderCosts(
                _seconds(read, repeats) / BATCH,
                _seconds(lambda: [sample.item() for sample in samples], repeats) / BATCH,
                _seconds(lambda: augment(batch, CHANGES, generator), repeats) / BATCH,
                size,
                _seconds(lambda: list(examine(reader, item, None, config)), repeats),
            )
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(-1)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)
