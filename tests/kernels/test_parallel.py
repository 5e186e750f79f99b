"""Work is shared between threads once and only once, phase after phase."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mofa3d.kernels import parallel


@pytest.fixture(autouse=True, params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_argument_once():
    done = []
    parallel.run(lambda first, second: done.append((first, second)), [(i, -i) for i in range(50)])
    assert sorted(done) == [(i, -i) for i in range(50)]


def test_a_phase_begins_when_the_one_before_is_done():
    log = []
    phases = [(lambda i, phase=phase: log.append(phase), [(i,) for i in range(20)]) for phase in range(4)]
    parallel.run_in_turn(*phases)
    assert log == sorted(log)
    assert len(log) == 80


def test_no_more_threads_than_asked_for(threads):
    names = set()
    barrier = threading.Barrier(threads)

    def work(_: int) -> None:
        barrier.wait(10)  # all of them at once, or this would not pass
        names.add(threading.get_ident())

    parallel.run(work, [(i,) for i in range(threads)])
    assert len(names) == threads
    assert threading.get_ident() in names


def test_an_exception_reaches_the_caller_and_the_next_run_works():
    def fail(i: int) -> None:
        if i == 7:
            raise ArithmeticError("seven")

    with pytest.raises(ArithmeticError, match="seven"):
        parallel.run(fail, [(i,) for i in range(20)])
    test_every_argument_once()


def test_several_callers_at_once():
    def call(number: int) -> int:
        found = []
        parallel.run(lambda i: found.append(i), [(i,) for i in range(30)])
        return number + sum(found)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, range(8))) == [number + 435 for number in range(8)]


def test_a_task_may_share_its_own_work():
    found = []

    def outer(i: int) -> None:
        parallel.run(lambda j: found.append((i, j)), [(j,) for j in range(5)])

    parallel.run(outer, [(i,) for i in range(6)])
    assert len(set(found)) == len(found) == 30


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    test_every_argument_once()
    process = multiprocessing.get_context("fork").Process(target=test_every_argument_once)
    process.start()
    process.join(20)
    assert process.exitcode == 0
