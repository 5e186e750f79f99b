"""Several items at once, in their order."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
import torch

from mofa3d.environment.ahead import MOST, ahead, one_thread_each

LONG = 20.0  # seconds after which a test fails instead of waiting


def test_results_come_in_order_whoever_is_done_first():
    last_is_done = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            assert last_is_done.wait(LONG)
        if number == 2:
            last_is_done.set()
        return 10 * number

    assert [(number, future.result()) for number, future in ahead(call, range(3), 2)] == [(0, 0), (1, 10), (2, 20)]


def test_arguments_are_taken_when_their_turn_comes():
    taken = []

    def arguments():
        for number in range(10):
            taken.append(number)
            yield number

    with closing(ahead(abs, arguments(), 2)) as results:
        next(results)
        assert taken == [0, 1, 2]
    assert taken == [0, 1, 2]


def test_what_fails_says_so_in_its_place():
    futures = dict(ahead(lambda number: 1 // number, (1, 0, 1), 3))
    assert futures[1].result() == 1
    with pytest.raises(ZeroDivisionError):
        futures[0].result()


def test_what_nobody_takes_is_discarded_and_what_has_not_begun_is_not_done():
    called, discarded, begun = [], [], threading.Barrier(3)

    def call(number: int) -> int:
        called.append(number)
        if number < 3:
            begun.wait(LONG)
        return number

    with closing(ahead(call, range(9), 3, discarded.append)) as results:
        assert next(results)[1].result() == 0
    assert sorted(discarded) == sorted(set(called) - {0})
    assert len(called) <= 4


def test_each_thread_computes_by_itself():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with one_thread_each() as threads:
            counts = [future.result() for _, future in ahead(lambda _: torch.get_num_threads(), range(4), threads)]
            assert (threads, counts) == (3, [1] * 4)
        assert torch.get_num_threads() == 3
        torch.set_num_threads(MOST + 1)
        with one_thread_each() as threads:
            assert threads == MOST
    finally:
        torch.set_num_threads(before)
