"""Times of pieces of work that take turns, beside what the machine could do at best."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Container
from dataclasses import dataclass

import torch

from benchmarks.streaming import scale_all
from mofa3d.environment.instruction_sets import multiplies_bfloat16

Work = Callable[[], object]
WARMING = 100.0  # ms
MARGIN = 0.05  # of a time, by which the same work differs from itself


@dataclass(frozen=True)
class Ceilings:
    """The most that this machine was seen to do.

    Attributes:
        float32, bfloat16: operations per second in products of matrices; no bfloat16 where the processor emulates it.
        bandwidth: bytes per second between memory and processor.
    """

    float32: float
    bfloat16: float | None
    bandwidth: float

    @property
    def products(self) -> float:
        """Operations per second in whichever numbers are faster."""
        return max(self.float32, self.bfloat16 or 0.0)

    def floor(self, operations: float, moved: float) -> float:
        """The least time, ms, for float32 operations and bytes that have to move, if they overlap."""
        return 1e3 * max(operations / self.float32, moved / self.bandwidth)


class TimeIsUpError(Exception):
    """A benchmark has lasted as long as it may."""


@dataclass(frozen=True)
class Setup:
    """What all subjects share.

    Attributes:
        ceilings: of this machine.
        repeats: of each piece of work.
        quick: small sizes, to see that everything runs.
        seconds: that one comparison may repeat its work, even if that is less often.
        end: reading of `time.monotonic` after which no comparison begins.
    """

    ceilings: Ceilings
    repeats: int = 20
    quick: bool = False
    seconds: float = math.inf
    end: float = math.inf

    def begin(self) -> None:
        """Called before each comparison.

        Raises:
            TimeIsUpError: no other may begin.
        """
        if time.monotonic() > self.end:
            raise TimeIsUpError


@dataclass(frozen=True)
class Timing:
    """One piece of work.

    Attributes:
        subject: the file that measured it.
        setting: sizes of the problem.
        way: how it was computed; the first way of a setting is its plain reference.
        median, least, most: ms.
        floor: least time in theory, ms.
        speed: how many times as fast as the reference, by medians.
        note: how far the results are apart, and the like.
        by_default: programs take this way by themselves, so that it must not be slower than the reference.
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
    by_default: bool = True

    @property
    def is_too_slow(self) -> bool:
        """Slower than the plain reference, and by more than chance does."""
        return self.by_default and self.speed < 1 - MARGIN


def take_turns(works: dict[str, Work], repeats: int, seconds: float = math.inf) -> dict[str, list[float]]:
    """Milliseconds of each piece of work; they alternate, so that whatever else the machine does meets all.

    In each turn, work is done for `WARMING` before it is timed once: threads, caches and clocks are then as it leaves
    them itself, and not as another way left them. (Work of 6 ms takes 10 at first, and five calls until it takes 6;
    what it costs between other work is seen in `benchmarks.training_step`.) What takes five times `WARMING` is not
    warmed. After so many seconds no other turn begins; what takes longer at its first call is not done again.
    """
    end = time.monotonic() + seconds
    times = {way: [_milliseconds(work)] for way, work in works.items()}  # compiles and allocates
    again = {way: work for way, work in works.items() if times[way][0] < 1e3 * seconds}
    for turn in range(repeats):
        if turn and time.monotonic() > end:
            break
        for way, work in again.items():
            warm = 0.0 if times[way][-1] < 5 * WARMING else WARMING
            while warm < WARMING:
                warm += _milliseconds(work)
            times[way].append(_milliseconds(work))
    return {way: values[1:] or values for way, values in times.items()}


def _milliseconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def compare(
    setup: Setup,
    subject: str,
    setting: str,
    works: dict[str, Work],
    floor: float,
    repeats: int,
    notes: dict[str, str] | None = None,
    images: int = 1,
    on_request: Container[str] = (),
) -> list[Timing]:
    """Rows of several ways to do the same.

    Args:
        setup: limits the time.
        works: the first is the reference.
        floor: see `Timing`.
        notes: of some ways.
        images: times and floor are divided by it.
        on_request: ways that no program takes by itself.

    Raises:
        TimeIsUpError: see `Setup.begin`.
    """
    setup.begin()
    times = take_turns(works, repeats, setup.seconds)
    medians = {way: statistics.median(values) for way, values in times.items()}
    reference = next(iter(medians.values()))
    return [
        Timing(
            subject, setting, way, medians[way] / images, min(values) / images, max(values) / images,
            floor / images, reference / medians[way], (notes or {}).get(way, ""),
            way not in on_request,
        )
        for way, values in times.items()
    ]  # fmt: skip


def measure_ceilings(size: int = 2048, megabytes: int = 256, device: str = "cpu") -> Ceilings:
    """Products of square matrices, and the best of reading and of changing more numbers than caches hold."""

    def fastest(work: Work) -> float:
        return min(take_turns({"": waiting(work, device)}, 8)[""]) / 1e3

    has_bfloat16 = device != "cpu" or multiplies_bfloat16()
    square = torch.rand(size, size, device=device)
    numbers = torch.ones(megabytes << 18, device=device)
    operations = 2 * size**3
    passes = [1 / fastest(numbers.sum), 2 / fastest(lambda: numbers.add_(1.0))]
    if device == "cpu":
        passes.append(2 / fastest(lambda: scale_all(numbers)))
    half = square.bfloat16()
    return Ceilings(
        operations / fastest(lambda: square @ square),
        operations / fastest(lambda: half @ half) if has_bfloat16 else None,
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
