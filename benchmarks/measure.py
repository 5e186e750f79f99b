"""Times of pieces of work that take turns, beside what the machine could do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.streaming import scale_all

Work = Callable[[], object]
WARMING = 100.0  # ms


@dataclass(frozen=True)
class Ceilings:
    """The most that this machine was seen to do.

    Attributes:
        float32, bfloat16: operations per second in products of matrices.
        bandwidth: bytes per second between memory and processor.
    """

    float32: float
    bfloat16: float
    bandwidth: float

    def floor(self, operations: float, moved: float) -> float:
        """The least time, ms, for float32 operations and bytes that have to move, if they overlap."""
        return 1e3 * max(operations / self.float32, moved / self.bandwidth)


@dataclass(frozen=True)
class Setup:
    """What all subjects share.

    Attributes:
        ceilings: of this machine.
        repeats: of each piece of work.
        quick: small sizes, to see that everything runs.
    """

    ceilings: Ceilings
    repeats: int = 20
    quick: bool = False


@dataclass(frozen=True)
class Row:
    """One piece of work.

    Attributes:
        subject: the file that measured it.
        setting: sizes of the problem.
        way: how it was computed; the first way of a setting is its plain reference.
        median, least, most: ms.
        floor: least time in theory, ms.
        speed: how many times as fast as the reference, by medians.
        note: how far the results are apart, and the like.
    """

    subject: str
    setting: str
    way: str
    median: float
    least: float
    most: float
    floor: float
    speed: float
    note: str = ""


def take_turns(works: dict[str, Work], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each piece of work; they alternate, so that whatever else the machine does meets all.

    In each turn, work is done for `WARMING` before it is timed once: threads, caches and clocks are then as it leaves
    them itself, and not as another way left them. (Work of 6 ms takes 10 at first, and five calls until it takes 6;
    what it costs between other work is seen in `benchmarks.training_step`.) What takes five times `WARMING` is not
    warmed.
    """
    times = {way: [_milliseconds(work)] for way, work in works.items()}  # compiles and allocates
    for _ in range(repeats):
        for way, work in works.items():
            warm = 0.0 if times[way][-1] < 5 * WARMING else WARMING
            while warm < WARMING:
                warm += _milliseconds(work)
            times[way].append(_milliseconds(work))
    return {way: values[1:] for way, values in times.items()}


def _milliseconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def compare(
    subject: str,
    setting: str,
    works: dict[str, Work],
    floor: float,
    repeats: int,
    notes: dict[str, str] | None = None,
    images: int = 1,
) -> list[Row]:
    """Rows of several ways to do the same.

    Args:
        works: the first is the reference.
        floor: see `Row`.
        notes: of some ways.
        images: times and floor are divided by it.
    """
    times = take_turns(works, repeats)
    medians = {way: statistics.median(values) for way, values in times.items()}
    reference = next(iter(medians.values()))
    return [
        Row(
            subject, setting, way, medians[way] / images, min(values) / images, max(values) / images,
            floor / images, reference / medians[way], (notes or {}).get(way, ""),
        )
        for way, values in times.items()
    ]  # fmt: skip


def measure_ceilings(size: int = 2048, megabytes: int = 256, device: str = "cpu") -> Ceilings:
    """Products of square matrices, and the best of reading and of changing more numbers than caches hold."""

    def fastest(work: Work) -> float:
        return min(take_turns({"": waiting(work, device)}, 8)[""]) / 1e3

    square = torch.rand(size, size, device=device)
    half = square.bfloat16()
    numbers = torch.ones(megabytes << 18, device=device)
    operations = 2 * size**3
    passes = [1 / fastest(numbers.sum), 2 / fastest(lambda: numbers.add_(1.0))]
    if device == "cpu":
        passes.append(2 / fastest(lambda: scale_all(numbers)))
    return Ceilings(
        operations / fastest(lambda: square @ square),
        operations / fastest(lambda: half @ half),
        4 * len(numbers) * max(passes),
    )


def waiting(work: Work, device: str) -> Work:
    """The same, done when it returns; work on a GPU is only begun then."""
    if device == "cpu":
        return work

    def finished() -> object:
        result = work()
        torch.cuda.synchronize(device)
        return result

    return finished
