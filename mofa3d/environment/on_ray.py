"""Tasks on a Ray cluster, or on this machine as one: whatever dies, its task is done again elsewhere."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from mofa3d.errors import InputError

_LOG = logging.getLogger(__name__)
MOST_LOST = 20  # workers at one task: it is the task then that ends them
AHEAD = 2  # tasks for each processor, so that none waits for this process

Task = TypeVar("Task")
Result = TypeVar("Result")
_known: dict[str, Any] = {}  # in a worker: what it works with


def run_on_ray(
    work: Callable[[Task], Result], tasks: Sequence[Task], most: int | None = None
) -> Iterator[tuple[int, Result]]:
    """Do tasks; gives the number of each and its result, as they come.

    A cluster is used that the environment variable RAY_ADDRESS names, or that this process has joined; else one is
    started on this machine, and ended with the tasks.

    Args:
        work: does a task; it is sent to each worker once, and picklable.
        tasks: picklable.
        most: processors to use at a time; ``None`` means all that the cluster has or gets.

    Raises:
        InputError: Ray is missing, or there is no cluster at RAY_ADDRESS.
        Exception: what a task raised.
        RuntimeError: a task that has ended `MOST_LOST` workers.
    """
    if not tasks:
        return
    ray = _ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        _join(ray, most)
    remote = ray.remote(num_cpus=1, max_retries=0)(_do)
    shared = ray.put(work)
    waiting = deque(range(len(tasks)))
    running: dict[Any, int] = {}
    lost: Counter[int] = Counter()
    try:
        while waiting or running:
            limit = most or max(1, int(ray.cluster_resources().get("CPU", 1)) * AHEAD)
            while waiting and len(running) < limit:
                number = waiting.popleft()
                running[remote.remote([shared], tasks[number])] = number
            [done], _ = ray.wait(list(running), num_returns=1)
            number = running.pop(done)
            try:
                result = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except _lost_errors(ray) as error:
                lost[number] += 1
                if lost[number] == MOST_LOST:
                    raise RuntimeError(f"{MOST_LOST} workers were lost at the same task") from error
                _LOG.warning("a worker was lost (%s); what it did is done again", type(error).__name__)
                waiting.appendleft(number)
                continue
            yield number, result
    finally:
        for task in running:
            ray.cancel(task, force=True)
        if is_ours:
            ray.shutdown()


def _lost_errors(ray: Any) -> tuple[type[Exception], ...]:
    known = ray.exceptions
    return known.WorkerCrashedError, known.NodeDiedError, known.OutOfMemoryError, known.ObjectLostError


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--engine ray needs Ray; install it: pip install mofa3d[ray]") from None
    return ray


def _join(ray: Any, most: int | None) -> None:
    """Join the cluster of RAY_ADDRESS, or start one."""
    address = os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if not address:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        options |= {"num_cpus": most, "include_dashboard": False}
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:  # of Ray
        raise InputError(
            f"there is no Ray cluster at {address or 'this machine'} ({str(error).splitlines()[0]}); start one with "
            "`ray start --head`, mend RAY_ADDRESS, or leave --engine ray out"
        ) from None


def _do(work: list, task: Any) -> Any:
    """What a worker does; `work` holds a reference, which is followed once."""
    import ray

    [reference] = work
    name = reference.hex()
    if name not in _known:
        _known.clear()
        _known[name] = ray.get(reference)
    return _known[name](task)
