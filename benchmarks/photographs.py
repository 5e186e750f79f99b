"""Photographs from a cold start and one after another, in processor time, which other programs change least.

The floor of a cold start is importing PyTorch and the work on one photograph in a process that has begun.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Setup, Timing
from mofa3d.api import open_tools
from mofa3d.data.photo import read_photo
from mofa3d.reconstruction.options import OutputOptions

SUBJECT = "photographs"
PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.png"
WAYS = {"all files": OutputOptions(), "without meshes": OutputOptions(formats=())}
COLD = 3  # starts
CORES = 2  # for which photographs per second are told


def rows(setup: Setup) -> Iterator[Timing]:
    """A folder of photographs, then the command line on one."""
    least = 0.0
    for way, options in WAYS.items():
        setup.begin()
        times = _one_after_another(options, 1 if setup.quick else setup.repeats)
        least = least or min(times)
        rate = f"{CORES * 1e3 / statistics.median(times):.1f} a second on {CORES} cores"
        yield _row("one of many", way, times, min(times), rate)
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "mofa3d", "reconstruct", str(PHOTO), "--out", folder]
        starts = {"import torch": ["-c", "import torch"], "mofa3d reconstruct": command}
        imported = 0.0
        for way, arguments in starts.items():
            setup.begin()
            times = []
            for number in range(1 if setup.quick else COLD):
                fresh = [*arguments[:-1], f"{folder}/{number}"] if way != "import torch" else arguments
                times.append(_processor_time(lambda fresh=fresh: subprocess.run([sys.executable, *fresh], check=True)))
            imported = imported or min(times)
            floor = imported if way == "import torch" else imported + least
            yield _row("cold start", way, times, floor, f"{min(times) / floor:.2f} times the floor")


def _one_after_another(options: OutputOptions, count: int) -> list[float]:
    """Milliseconds for each of so many photographs, after one that is not counted."""
    reconstructor, write = open_tools(output=options)

    def one() -> None:
        photo = read_photo(PHOTO)
        for found in reconstructor(photo):
            write(Path(folder), str(PHOTO), photo, found)

    with tempfile.TemporaryDirectory() as folder:
        one()
        return [_processor_time(one) for _ in range(count)]


def _processor_time(work: Callable[[], object]) -> float:
    """Milliseconds of this process and of those that it waited for."""
    before = os.times()
    work()
    return 1e3 * sum(now - then for now, then in zip(os.times()[:4], before[:4], strict=True))


def _row(setting: str, way: str, times: list[float], floor: float, note: str) -> Timing:
    return Timing(
        SUBJECT, setting, way, statistics.median(times), min(times), max(times), floor, 1.0, note, by_default=False
    )
