"""Plan a training on many GPUs: time, price, and what it waits for, of measured costs and stated bandwidths.

    python experiments/plan_scale.py                                  # with the costs that were measured
    python experiments/plan_scale.py --measure --device cuda          # with those of this machine
    python experiments/plan_scale.py --costs.step 0.05 --costs.batch 256 --cluster.gpu-price 2
    python experiments/plan_scale.py --simulate                       # the data path on a billion photographs

Every rank computes a step, its gradients go around, and its cores load the next photographs, all at the same time: the
slowest is the wall. --simulate lets ranks that are not there share a list of shards of --samples faces, and one of them
read batches with the code of trainings.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the benchmarks are not installed

from benchmarks.scaling import Cluster, Costs, Plan, plan
from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.environment.machine import check_device, machine
from mofa3d.evaluation.tables import table
from mofa3d.numeric_options import MOST, check_ranges

# The step: the paper's setting on an H200 (docs/speed.md). Photographs: one core of a Xeon with AVX-512, --measure.
MEASURED = Costs(
    step=1 / 90, batch=5, parameters=58.3e6, read=0.00041, decode=0.00127, change=0.00418, size=49_900, prepare=0.048
)
# Stated by the makers: NVLink 4 in each direction, InfiniBand NDR (400 Gb/s for each GPU), four NVMe disks.
STATED = Cluster(
    gpus_per_node=8,
    cores_per_gpu=16,
    inside=450e9,
    between=50e9,
    latency=10e-6,
    storage=12e9,
    overlap=0.5,
    gpu_price=3.0,
    core_price=0.05,
)


@dataclass(frozen=True)
class Config:
    photographs: tuple[float, ...] = (150e3, 10e6, 1e9)
    """Numbers of photographs to plan for."""
    gpus: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of GPUs to plan for."""
    epochs: float = 10.0
    """How often each photograph is seen."""
    costs: Costs = MEASURED
    """What was measured, in seconds and bytes."""
    cluster: Cluster = STATED
    """What is stated, in bytes per second and prices per hour."""
    measure: Flag = False
    """Measure steps, loader and preparation on this machine first, and plan with them."""
    encoder: str = "mobilenet_v2"
    """What --measure trains: mobilenet_v2 at 112 px with Adam, or alexnet at 240 px with AdaDelta."""
    batch_size: int = 24
    """Photographs of a step of --measure."""
    device: str = "cpu"
    simulate: Flag = False
    """Simulate the data path instead of planning."""
    samples: int = 1_000_000_000
    """Faces of the simulated shards."""
    per_shard: int = 256
    """Faces of each of them."""
    ranks: tuple[int, ...] = (1, 64)
    """Numbers of ranks that share them."""
    per_rank: int = 64
    """Photographs of a rank's step in the simulation."""
    steps: int = 250
    """Batches that one rank reads."""

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("photographs", "gpus", "ranks", "samples", "epochs"), (1, MOST))
        check_ranges(self, **counts, per_shard=(1, 100_000), steps=(1, 1_000_000), per_rank=(1, 100_000))
        check_ranges(self, batch_size=(1, 100_000))


def measured(config: Config) -> Costs:
    """The costs of this machine."""
    from benchmarks.loader_costs import measure_loader
    from benchmarks.real_step import time_steps
    from benchmarks.training_step import PAPER, QUICK

    setting = replace(PAPER if config.encoder == "alexnet" else QUICK, batch_size=config.batch_size)
    steps, loader = time_steps(setting, config.device, 10, 2), measure_loader()
    return Costs(steps.seconds, steps.batch, steps.parameters, **asdict(loader))


def plans(config: Config, costs: Costs) -> Iterator[Plan]:
    """One for each number of photographs and GPUs."""
    for photographs in config.photographs:
        for gpus in config.gpus:
            yield plan(photographs, config.epochs, gpus, costs, config.cluster)


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(found: list[Plan], epochs: float) -> str:
    """Markdown: time and price, and what a step of each number of GPUs waits for."""
    times = [
        [
            f"{p.photographs:,.0f}", str(p.gpus), number(p.hours), number(p.price), p.wall, f"{p.efficiency:.0%}",
            number(p.prepare_hours), number(p.prepare_price),
        ]
        for p in found
    ]  # fmt: skip
    head = [
        "photographs",
        "GPUs",
        f"hours, {epochs:g} epochs",
        "price",
        "wall",
        "efficiency",
        "hours to prepare",
        "price",
    ]
    of_gpus = {p.gpus: p for p in found}
    parts = [[str(p.gpus), *(number(1e3 * value) for value in p.parts.values())] for p in of_gpus.values()]
    walls = table(["milliseconds of a step, GPUs", *found[0].parts], parts)
    return f"{table(head, times)}\n\n{walls}"


def simulate(config: Config) -> str:
    """Markdown: how ranks share an epoch, and what one of them needs to read."""
    from benchmarks.data_path import coverage, make_shard, read_simulated, shard_counts

    with TemporaryDirectory() as folder:
        shard = Path(folder) / "shard.tar"
        make_shard(shard, config.per_shard)
        readings = []
        for ranks in config.ranks:
            # A process of its own, for its memory is what counts.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                sizes = (config.samples, config.per_shard, config.per_rank * ranks, ranks // 2, ranks, config.steps)
                readings.append(pool.submit(read_simulated, shard, *sizes).result())
    counts = shard_counts(config.samples, config.per_shard)
    rows = []
    for ranks, reading in zip(config.ranks, readings, strict=True):
        share = coverage(counts, config.per_rank * ranks, ranks)
        rows.append([
            str(ranks), f"{share.samples:,}", "yes" if share.once else "NO", f"{share.least:,}–{share.most:,}",
            f"{share.shards:,}", f"{share.shared:,}", f"{share.seconds:.2f}", f"{reading.begin:.1f}",
            f"{reading.peak / 1e9:.2f}", f"{reading.rate:.0f}",
        ])  # fmt: skip
    head = ["ranks", "samples read", "each once", "samples of a rank", "shards of a rank", "shards of several"]
    head += ["seconds to share", "seconds to the first batch", "peak GB of a rank", "photographs per second of a core"]
    return f"{len(counts):,} shards of {config.per_shard} faces\n\n{table(head, rows)}"


def main(config: Config) -> None:
    if config.simulate:
        print(f"machine: {machine()}\n\n{simulate(config)}")
        return
    check_device(config.device)
    costs = measured(config) if config.measure else config.costs
    print(f"machine: {machine()}" if config.measure else "with the costs that were measured before; see --measure")
    print(json.dumps({"costs": asdict(costs), "cluster": asdict(config.cluster)}, indent=1))
    print(show(list(plans(config, costs)), config.epochs))


if __name__ == "__main__":
    program.run(main, Config, __doc__)
