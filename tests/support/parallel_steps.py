"""One step of small trainings, for tests that compare one process with several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import torch
from loop_training import SIZE, SIZES, make_batch
from tiny_model import make_tiny_model
from torch import nn

from mofa3d.camera import Camera
from mofa3d.encoders.checkpoint import read_checkpoint
from mofa3d.encoders.factored_linear import FactoredLinear
from mofa3d.encoders.network import Encoder
from mofa3d.environment import instruction_sets
from mofa3d.environment.processes import LostProcessError, Processes
from mofa3d.objective import Batch, LossWeights
from mofa3d.renderers import make_renderer
from mofa3d.training.loop import Step, optimize
from mofa3d.training.mofa import TrainingConfig, make_formation, train
from mofa3d.training.progress import DivergenceError

BATCH = 8
RENDERERS = ("vertex", "cpu", "pytorch3d")
OPTIMIZERS = ("adadelta", "adam")
WITHOUT, WITH = LossWeights(background_cost=0.1), LossWeights(landmark=1.0, lip_closure=5.0, coloured_light=0.5)
EVERY_CASE = {
    **{
        f"{renderer}, {optimizer}, {name}": {"renderer": renderer, "optimizer": optimizer, "loss": loss}
        for renderer in RENDERERS
        for optimizer in OPTIMIZERS
        for name, loss in (("with landmarks", WITH), ("without", WITHOUT))
    },
    "frozen batch norm": {"frozen": True},
    "bfloat16": {"bfloat16": True, "frozen": True},
    "step in backward": {"step_in_backward": True},
    "fitted colors": {"loss": LossWeights(fitted_photometric=1.0)},
    "frozen geometry": {"freeze_geometry": 5},
}

CASES = {name: EVERY_CASE[name] for name in (
    "vertex, adadelta, with landmarks", "cpu, adam, without", "pytorch3d, adadelta, with landmarks",
)}  # fmt: skip


def make_encoder(frozen: bool) -> Encoder:
    """With all that depends on the whole batch or on random numbers; its first codes are no zeros."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4, bias=False),  # whose gradient the normalization would make rounding errors
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.5),
        FactoredLinear(128, 32),
        nn.ReLU(),
    )
    encoder = Encoder(backbone, 32, SIZES, freeze_batch_norm=frozen)
    nn.init.normal_(encoder.head.weight, std=0.1)
    nn.init.normal_(encoder.depth_head.weight, std=0.1)
    return encoder


def stream_of(make: Callable[[int], Batch], processes: Processes):
    """A process's rows of endless batches."""

    def batches(start: int) -> Iterator[Batch]:
        while True:
            yield {name: value[processes.rows(len(value))] for name, value in make(start).items()}
            start += 1

    return batches


def make_case(decode, iteration: int) -> Batch:
    halves = [make_batch(decode, 10 * iteration + half) for half in range(BATCH // 4)]
    return {name: torch.cat([half[name] for half in halves]) for name in halves[0]}


def few(processes: Processes, folder: Path) -> dict[str, dict]:
    """Steps of a few cases, and in two processes how a training ends when one of them does."""
    steps = take_steps(processes, folder, CASES)
    ends = fail(processes, folder) if processes.count == 2 else {}  # in whose course the others die
    return {"steps": steps, "ends": ends}


def every(processes: Processes, folder: Path) -> dict[str, dict]:
    """Steps of all cases."""
    return {"steps": take_steps(processes, folder, EVERY_CASE)}


def fail(processes: Processes, folder: Path) -> dict[str, str]:
    """What the first process says when the last one's data fail, when it diverges, and when it dies."""
    last, found = processes.rank == processes.count - 1, {}

    def die() -> None:
        os._exit(0)

    def miss() -> None:
        raise OSError("a shard is gone")

    for name, end in {"fails": miss, "diverges": None, "dies": die}.items():
        torch.manual_seed(0)
        network, out = nn.Linear(4, 4), folder / f"{processes.count} {name}"

        def batches(start: int, end=end) -> Iterator[Batch]:
            for iteration in count(start):
                value = torch.ones(2, 4)
                if last and iteration == 3 and end is not None:
                    end()
                elif last and iteration == 3:
                    value[0, 0] = float("nan")
                yield {"image": value}

        def step(batch: Batch, _iteration: int, network=network) -> Step:
            loss = network(batch["image"]).square().mean(dim=1)
            return Step({"loss": loss}, loss.mean())

        if processes.leads:
            out.mkdir()
        processes.gather(0.0)
        config = TrainingConfig(iterations=9, batch_size=2 * processes.count, checkpoint_every=4)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        try:
            optimize(network, optimizer, step, batches, config, out, {}, processes=processes)
        except (LostProcessError, DivergenceError, OSError) as error:
            iteration = read_checkpoint(out / "checkpoint.pt")["progress"]["iteration"] if processes.leads else 0
            found[name] = f"{type(error).__name__} with {iteration} saved: {error}"
    return found


def take_steps(processes: Processes, folder: Path, cases: dict[str, dict]) -> dict[str, dict[str, torch.Tensor]]:
    """Gradients of one step, weights and statistics after it, and the logged losses, of each case."""
    instruction_sets.multiplies_bfloat16 = lambda: True  # a few numbers are fast anyway
    model, found = make_tiny_model(), {}
    for name, case in cases.items():
        options = {"optimizer": "adadelta", "renderer": "vertex", "frozen": False, "loss": WITH, **case}
        encoder, renderer = make_encoder(options.pop("frozen")), options.pop("renderer")
        config = TrainingConfig(iterations=1, batch_size=BATCH, log_every=1, depth_learning_rate=0.1, **options)
        cost = config.loss.background_cost
        decode, render, fused = make_formation(make_renderer(renderer), model, Camera(SIZE), "cpu", cost)
        assert (fused is not None) == (renderer == "vertex")
        out = folder / f"{processes.count} {name}"
        if processes.leads:
            out.mkdir()
        stream = stream_of(lambda iteration, decode=decode: make_case(decode, iteration), processes)
        train(encoder, decode, render, stream, config, out, {}, fused=fused, processes=processes)
        values = {f"gradient of {key}": value.grad for key, value in encoder.named_parameters()}
        values |= {key: value.clone() for key, value in encoder.state_dict().items()}
        apart = [(value - processes.hand_out(value)).abs().max() for value in encoder.state_dict().values()]
        assert not any(apart), "processes hold different weights"
        found[name] = {key: value for key, value in values.items() if value is not None}
    return found
