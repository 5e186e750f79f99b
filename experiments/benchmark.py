"""Benchmark mofa3d: every component against a plain reference in the same run and a theoretical minimum.

    python experiments/benchmark.py --out runs/benchmark
    python experiments/benchmark.py --only encoders fits --checkpoint runs/default

The minimum ("floor") is computed from the operations of matrix products, the bytes that must be moved, and the
machine's peak rates for both, which are measured first. Ends after --minutes, even if something is left, and lists the
default implementations that are slower than their plain reference. Writes benchmark.json and benchmark.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the benchmarks are not installed

from benchmarks import cuda_vertex_loss, encoders, fits, optimizers, photographs, rasterizer, training_step, vertex_loss
from benchmarks.measure import Ceilings, Setup, TimeIsUpError, Timing, measure_ceilings
from mofa3d.cli import program
from mofa3d.environment.machine import commit, machine
from mofa3d.evaluation.report import Report
from mofa3d.files.folders import take_folder

Subject = Literal[
    "encoders", "rasterizer", "vertex_loss", "cuda_vertex_loss", "optimizers", "training_step", "fits", "photographs"
]  # fmt: skip
TOO_SLOW = "slower than plain"
COMPARISONS = 75  # that could be made in the time: there are some 40, and they need time to begin
HEADER = ("setting", "way", "median ms", "least", "most", "floor", "times as fast", "")


@dataclass(frozen=True)
class Config:
    only: tuple[Subject, ...] = ()
    """Subjects to measure; all by default."""
    out: Path = Path("runs/benchmark")
    """Folder to write."""
    repeats: int = 20
    """Number of repetitions; long measurements are repeated less often."""
    checkpoint: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A training run; the landmarks that its encoder predicts are compared too."""
    minutes: float = 10.0
    """End after this time; slow measurements are repeated less often, and those not yet started are left out."""
    quick: bool = False
    """Small sizes and few repetitions, to check that everything runs."""


def subjects(config: Config) -> dict[str, Callable[[Setup], Iterator[Timing]]]:
    every = {
        "encoders": partial(encoders.rows, checkpoint=config.checkpoint),
        "rasterizer": rasterizer.rows,
        "vertex_loss": vertex_loss.rows,
        "cuda_vertex_loss": cuda_vertex_loss.rows,
        "optimizers": optimizers.rows,
        "training_step": training_step.rows,
        "fits": fits.rows,
        "photographs": photographs.rows,
    }
    return {name: rows for name, rows in every.items() if name in (config.only or every)}


def line(row: Timing) -> str:
    """A row of the Markdown table."""
    remark = ", ".join(text for text in (TOO_SLOW if row.is_too_slow else "", row.note) if text)
    times = [f"{value:.3g}" for value in (row.median, row.least, row.most, row.floor)]
    return "| " + " | ".join([row.setting, row.way, *times, f"{row.speed:.1f}", remark]) + " |"


def facts(ceilings: Ceilings) -> dict[str, str]:
    half = f"{ceilings.bfloat16 / 1e9:.0f} in bfloat16" if ceilings.bfloat16 else "no bfloat16"
    reached = f"{ceilings.float32 / 1e9:.0f} GFLOP/s in float32, {half}, {ceilings.bandwidth / 1e9:.0f} GB/s"
    return {"machine": machine(), "commit": commit(), "at best": reached}


def verdict(rows: list[Timing]) -> str:
    """Which ways are slower than plain although programs take them."""
    slow = [
        f"- {row.subject}, {row.setting}: {row.way}, {1 / row.speed:.2f} times as long"
        for row in rows
        if row.is_too_slow
    ]
    none = "- none of the ways that programs take by themselves" if rows else "- nothing was measured"
    return "\n".join([f"{TOO_SLOW}:", *(slow or [none])])


def report(about: dict[str, str], ceilings: Ceilings, rows: list[Timing]) -> Report:
    """Whatever has been measured so far."""
    sections = []
    for subject in dict.fromkeys(row.subject for row in rows):
        head = [f"## {subject}", "", "| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
        sections.append("\n".join([*head, *(line(row) for row in rows if row.subject == subject)]))
    threads, times = torch.get_num_threads(), [asdict(row) for row in rows]
    numbers = {"threads": threads, "ceilings": asdict(ceilings), "rows": times}
    return Report("Benchmark", about, [*sections, verdict(rows)], numbers)


def measure(config: Config) -> list[Timing]:
    """Measure, print and write; returns what was found."""
    take_folder(config.out, "benchmark.py")
    started = time.monotonic()
    ceilings = measure_ceilings(256, 4) if config.quick else measure_ceilings()
    limits = {"seconds": 60 * config.minutes / COMPARISONS, "end": started + 60 * config.minutes}
    setup = Setup(ceilings, 2 if config.quick else config.repeats, config.quick, **limits)
    about = facts(ceilings)
    print("; ".join(f"{name}: {value}" for name, value in about.items()))
    found: list[Timing] = []
    for name, subject in subjects(config).items():
        print(f"{name}: {', '.join(HEADER[:-1])}")
        try:
            for row in subject(setup):
                found.append(row)
                print(line(row), flush=True)
                report(about, ceilings, found).write(config.out, "benchmark")
        except TimeIsUpError:
            print(f"{config.minutes:g} minutes are over: the rest of {name} is left out; --only {name} measures it")
    print(verdict(found))
    return found


def main(config: Config) -> None:
    measure(config)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
