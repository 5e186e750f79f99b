"""Examines photographs in several processes: who dies is replaced, and a photograph at which two die is listed."""

from __future__ import annotations

import os
import pickle
import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import cv2

from mofa3d.data.corpus.config import Engine, PrepareConfig
from mofa3d.data.corpus.examine import Kept, examine
from mofa3d.data.corpus.parts import Examined
from mofa3d.data.corpus.shards import encode_crop
from mofa3d.data.isolated_reader import ATTEMPTS, crashed
from mofa3d.data.landmark_table import Points
from mofa3d.data.sources import Item, Reader
from mofa3d.environment.isolation import DiedError, Worker
from mofa3d.errors import InputError

Tasks = Sequence["Task"]


@dataclass(frozen=True)
class Task:
    """A photograph to examine, with its given points if there are any."""

    item: Item
    stamp: str
    points: Points | None


class Examiner:
    """Examines photographs one after the other.

    Args:
        reader: makes what reads them.
        config: see `PrepareConfig`.
    """

    def __init__(self, reader: Callable[[], Reader], config: PrepareConfig) -> None:
        self._reader = reader()
        self._config = config

    def __call__(self, tasks: Tasks) -> Iterator[Examined]:
        for task in tasks:
            try:
                yield self._one(task)
            except InputError:
                raise
            except Exception as error:  # a fault of ours: at least one knows where
                raise RuntimeError(f"{task.item.key} could not be examined") from error

    def _one(self, task: Task) -> Examined:
        faces, removed, shown = [], [], []
        for result in examine(self._reader, task.item, task.points, self._config):
            if isinstance(result, Kept):
                faces.append((result.face, encode_crop(result.crop)))
                continue
            removed.append((result.rule, result.reason))
            if result.crop is not None:
                shown.append((result.rule, encode_crop(result.crop)))
        return Examined(task.item.key, task.stamp, faces, removed, shown)

    def close(self) -> None:
        self._reader.close()


def examine_runs(
    runs: Sequence[Tasks],
    config: PrepareConfig,
    workers: int,
    reader: Callable[[], Reader] = Reader,
    engine: Engine = "local",
) -> Iterator[tuple[int, list[Examined]]]:
    """Examine photographs; gives the number of each run and what became of its photographs, as they come.

    Args:
        runs: consecutive photographs.
        config: how.
        workers: processes; with 0, everything is done in this one, and ends with it if a decoder crashes. On Ray, 0
            means all that the cluster has.
        reader: makes what reads photographs; picklable.
        engine: processes of this machine, or Ray's.

    Raises:
        Exception: what examining raised; a photograph that cannot be read is no exception.
    """
    if engine == "ray":
        from mofa3d.environment.on_ray import run_on_ray

        work = partial(_examine_elsewhere, partial(_one_of_several, reader, config))
        yield from run_on_ray(work, runs, workers or None)
        return
    if workers:
        workers = min(workers, len(runs))
        yield from _in_processes(runs, partial(_one_of_several if workers > 1 else Examiner, reader, config), workers)
        return
    with closing(Examiner(reader, config)) as examiner:
        for number, run in enumerate(runs):
            yield number, list(examiner(run))


_elsewhere: dict[bytes, Worker] = {}  # of this process


def _examine_elsewhere(make: Callable[[], Examiner], run: Tasks) -> list[Examined]:
    """Examine photographs in a process of this one's own, which stays for the next ones, as one machine alone does."""
    for task in run:
        if not task.item.root.exists():
            raise InputError(
                f"{platform.node()} has no {task.item.root}; sources must have the same path on all machines of the "
                "cluster"
            )
    name = pickle.dumps(make)
    if name not in _elsewhere:
        for other in _elsewhere.values():
            other.close()
        _elsewhere.clear()
        _elsewhere[name] = Worker(make)
    return list(_surviving(_elsewhere[name], run))


def _one_of_several(reader: Callable[[], Reader], config: PrepareConfig) -> Examiner:
    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # read when PyTorch is loaded, which only some detectors of landmarks need
    return Examiner(reader, config)


def _in_processes(
    runs: Sequence[Tasks], make: Callable[[], Examiner], workers: int
) -> Iterator[tuple[int, list[Examined]]]:
    """A thread waits for each process."""
    waiting, stopped = iter(list(enumerate(runs))), threading.Event()
    results: SimpleQueue[tuple[int, list[Examined]] | Exception] = SimpleQueue()

    def work() -> None:
        try:
            with closing(Worker(make)) as worker:
                for number, run in waiting:  # no two threads get the same of a list's iterator
                    results.put((number, list(_until(stopped, _surviving(worker, run)))))
                    if stopped.is_set():
                        break
        except Exception as error:
            results.put(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for _ in runs:
            result = results.get()
            if isinstance(result, Exception):
                raise result
            yield result
        for thread in threads:
            thread.join()
    finally:
        stopped.set()


def _until(stopped: threading.Event, photos: Iterable[Examined]) -> Iterator[Examined]:
    for photo in photos:
        if stopped.is_set():
            return
        yield photo


def _surviving(worker: Worker, run: Tasks) -> Iterator[Examined]:
    """What becomes of each photograph, whatever becomes of the processes."""
    done = deaths = 0
    while done < len(run):
        try:
            for photo in worker.answers(run[done:]):
                done, deaths = done + 1, 0
                yield photo
        except DiedError as death:
            deaths += 1
            if done < len(run) and deaths == ATTEMPTS:
                yield _unreadable(run[done], death)
                done, deaths = done + 1, 0


def _unreadable(task: Task, death: DiedError) -> Examined:
    return Examined(task.item.key, task.stamp, [], [("unreadable", crashed(task.item.path, death))], [])
