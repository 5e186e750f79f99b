"""Runs GIL-free kernels over images and bands of rows on as many threads as PyTorch uses.

A thread pool of our own instead of numba's parallel runtime: it survives a fork (data loader workers), may be entered
from several threads, follows `torch.set_num_threads`, and the kernels compile once, without a threading layer.

PyTorch's own threads do not survive a fork: the first operation that would use them waits for ever. So a forked process
works on one thread, as in PyTorch's data loaders; processes that are spawned have all of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import torch

MOST_BANDS = 8  # every band looks at all faces once

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


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
    """`run` several tasks, each when the one before is done, on the same threads.

    The calling thread works too, and the others stay from one call to the next: starting them takes longer than some
    of the work.
    """
    calls = [(task, list(arguments)) for task, arguments in phases]
    threads = min(torch.get_num_threads(), max(len(arguments) for _, arguments in calls))
    for task, arguments in calls:
        if threads <= 1:
            for args in arguments:
                task(*args)
        else:
            _share(task, arguments, threads)


def _share(task: Callable[..., object], arguments: list[tuple], threads: int) -> None:
    """Call the task for all arguments on this thread and up to `threads` - 1 others; whoever is free takes the next."""
    left = iter(arguments)  # taking the next of a list's iterator cannot be interrupted by another thread

    def work() -> None:
        for args in left:
            task(*args)

    others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        others = [other for other in others if not other.cancel()]  # who has not begun finds nothing left to do
        wait(others)
    for other in others:
        other.result()


@cache
def _pool_of(process: int, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="mofa3d")


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads of this very process: those of a parent do not survive a fork."""
    return _pool_of(os.getpid(), threads)
