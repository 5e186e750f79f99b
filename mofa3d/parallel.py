"""Runs GIL-free kernels over images and bands of rows on as many threads as PyTorch uses.

A thread pool of our own instead of numba's parallel runtime: it survives a fork (data loader workers), may be entered
from several threads, follows `torch.set_num_threads`, and the kernels compile once, without a threading layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch

MOST_BANDS = 8  # every band looks at all faces once


def split_rows(height: int, images: int) -> list[tuple[int, int]]:
    """Bands of rows (first, one past the last) per image that keep all threads busy for a batch of `images`."""
    threads = torch.get_num_threads()
    bands = 1 if images >= 4 * threads else threads // math.gcd(max(images, 1), threads)
    bands = max(1, min(bands, MOST_BANDS, height))
    edges = [height * i // bands for i in range(bands + 1)]
    return list(pairwise(edges))


def run(task: Callable[..., object], arguments: Iterable[tuple]) -> None:
    """Call `task(*args)` for every tuple of arguments, on several threads; the first exception is raised."""
    run_in_turn((task, arguments))


def run_in_turn(*phases: tuple[Callable[..., object], Iterable[tuple]]) -> None:
    """`run` several tasks, each when the one before is done, on the same threads."""
    calls = [(task, list(arguments)) for task, arguments in phases]
    threads = min(torch.get_num_threads(), max(len(arguments) for _, arguments in calls))
    if threads <= 1:
        for task, arguments in calls:
            for args in arguments:
                task(*args)
        return
    with ThreadPoolExecutor(threads) as pool:
        for task, arguments in calls:
            for future in [pool.submit(task, *args) for args in arguments]:
                future.result()
