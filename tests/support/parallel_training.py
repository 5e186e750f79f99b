"""Longer trainings in several processes: how near they stay, and how much memory they take."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import torch
from loop_training import SIZE, config, make_batch, make_encoder
from parallel_steps import stream_of
from tiny_model import make_tiny_model

from mofa3d.camera import Camera
from mofa3d.environment.processes import Processes
from mofa3d.objective import LossWeights
from mofa3d.renderers import make_renderer
from mofa3d.training.mofa import make_formation, train

SEEDS = 4
PAGE = resource.getpagesize()


def _train(processes: Processes, out: Path, iterations: int, size: int, seed: int, during=lambda number: None) -> list:
    """The losses of a small training on a few random faces."""
    decode, render, fused = make_formation(make_renderer("vertex"), make_tiny_model(), Camera(SIZE), "cpu")
    faces = [make_batch(decode, number) for number in range(12)]
    faces = {name: torch.cat([batch[name] for batch in faces]) for name in faces[0]}
    losses: list = []

    def choose(iteration: int) -> dict:
        during(iteration)
        random = torch.Generator().manual_seed(1000 * seed + iteration)
        rows = torch.randperm(48, generator=random)[:size]
        return {name: value[rows] for name, value in faces.items()}

    if processes.leads:
        out.mkdir()
    processes.gather(0.0)
    settings = config(iterations=iterations, batch_size=size, loss=LossWeights(landmark=1.0), learning_rate=1e-3)
    encoder = make_encoder(seed)
    train(encoder, decode, render, stream_of(choose, processes), settings, out, {}, fused=fused, processes=processes)
    if processes.leads:
        losses = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    return losses


def learn(processes: Processes, folder: Path) -> dict:
    """The mean loss of the last 20 of 200 iterations, by seed; of the first seed alone in several processes."""
    runs = {
        seed: _train(processes, folder / f"{processes.count} {seed}", 200, 24, seed)
        for seed in range(SEEDS if processes.count == 1 else 1)
    }
    return {"losses": {seed: sum(run[-20:]) / 20 for seed, run in runs.items() if run}, "first": (runs[0] or [0])[0]}


def last(processes: Processes, folder: Path) -> dict:
    """The memory of each process in MB after some of 2,000 steps."""
    sizes: dict[int, list[float]] = {}

    def note(iteration: int) -> None:
        if iteration in (500, 1000, 1500, 2000):
            used = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6
            sizes[iteration] = [size for (size,) in processes.gather(used)]

    _train(processes, folder / "run", 2001, 4, 0, note)
    return {"sizes": sizes}
