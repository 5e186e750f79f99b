"""Work on several items at once, and take the results in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

MOST = 8  # threads: each holds a photograph
Argument = TypeVar("Argument")
Result = TypeVar("Result")


def ahead(
    call: Callable[[Argument], Result],
    arguments: Iterable[Argument],
    threads: int,
    discard: Callable[[Result], object] = lambda result: None,
) -> Generator[tuple[Argument, Future[Result]], None, None]:
    """Call a function for each argument, on several threads; gives each argument with what came of it, in order.

    Args:
        call: the function.
        arguments: taken when their turn comes.
        threads: at most one result for each waits to be taken.
        discard: is called for results that nobody takes, where the iterator is closed before its end; those calls that
            have begun are waited for.
    """
    begun: deque[tuple[Argument, Future[Result]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="mofa3d-ahead") as pool:
        try:
            for argument in arguments:
                begun.append((argument, pool.submit(call, argument)))
                if len(begun) > threads:
                    yield begun.popleft()
            while begun:
                yield begun.popleft()
        finally:
            for _, future in begun:
                if not future.cancel() and future.exception() is None:
                    discard(future.result())


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Let every thread compute by itself, as is fastest where there is enough to do for all; gives how many to start.

    PyTorch's own threads would wait for each other at every small step of a photograph.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield min(threads, MOST)
    finally:
        torch.set_num_threads(threads)
