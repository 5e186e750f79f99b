"""A training of seconds as a program, for tests that stop it: python tests/small_training.py --out FOLDER."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mofa3d.cli import program
from mofa3d.encoders.checkpoint import how_to_go_on
from mofa3d.environment.processes import ALONE, Processes, join
from mofa3d.objective import Batch
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.loop import Step, optimize
from mofa3d.training.mofa import TrainingConfig
from mofa3d.training.resume_option import Resume

BATCH = 4


@dataclass(frozen=True)
class Config:
    out: Path
    resume: Resume = False
    iterations: int = 10
    checkpoint_every: int = 5
    keep_last: int = 1
    keep_best: bool = False
    pause: float = 0.0
    """Seconds of every step."""
    sync: float = 0.0
    """Seconds by which writing a file is slowed down."""
    ids: Path | None = None
    """Folder for the numbers of the system's processes, by their rank."""


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.ReLU(), nn.Linear(64, 8))


def batches(start: int, processes: Processes = ALONE) -> Iterator[Batch]:
    iteration = start
    while True:
        image = torch.rand(BATCH, 8, generator=torch.Generator().manual_seed(iteration))
        yield {"image": image[processes.rows(BATCH)]}
        iteration += 1


def train(
    config: Config,
    during=lambda iteration: None,
    draw=lambda: 0.0,
    data: dict[str, str] | None = None,
    processes: Processes = ALONE,
) -> nn.Module:
    """Train a network that needs PyTorch's and NumPy's random states.

    Args:
        config: how.
        during: called in every step.
        draw: more noise; Python's, unless types are checked while it runs, which takes numbers from there.
        data, processes: see `mofa3d.training.loop.optimize`.
    """
    network = make_network()
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002

    def step(batch: Batch, iteration: int) -> Step:
        time.sleep(config.pause)
        during(iteration)
        noise = draw() + np.random.random()  # noqa: NPY002
        loss = (network(batch["image"]) - noise).square().mean(dim=1)
        return Step({"loss": loss}, loss.mean())

    settings = TrainingConfig(
        iterations=config.iterations,
        batch_size=BATCH,
        log_every=1,
        checkpoint_every=config.checkpoint_every,
        keep_last=config.keep_last,
        keep_best=config.keep_best,
        decay=True,
    )
    optimizer, stream = torch.optim.Adam(network.parameters(), lr=0.01), batches
    if processes.count > 1:
        stream = partial(batches, processes=processes)
    with claim_folder(config.out, config.resume, processes=processes) as resume:
        about = {"note": "small"}
        optimize(network, optimizer, step, stream, settings, config.out, about, resume, data, processes)
    return network


def main(config: Config) -> None:
    torch.set_num_threads(1)
    sync = os.fsync

    def slow(handle: int) -> None:
        time.sleep(config.sync)
        sync(handle)

    os.fsync = slow
    processes = join("cpu", BATCH)
    if config.ids is not None:
        (config.ids / str(processes.rank)).write_text(str(os.getpid()))
    train(config, draw=random.random, processes=processes)


if __name__ == "__main__":
    program.run(main, Config, __doc__, stopped=lambda config: how_to_go_on(config.out))
