"""Time one training step, split into encoder, decoder with loss, and optimiser, next to plain PyTorch in the same run.

    python benchmarks/training_step.py --encoder alexnet --batch-size 5 --optimizer adadelta   # the paper's setting
    python benchmarks/training_step.py --encoder mobilenet_v2 --batch-size 24 --input-size 112

Plain and fast steps take turns, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mofa3d import Camera, Decoder, SemanticCode, load_model, program
from mofa3d.encoders import Encoder, make_encoder
from mofa3d.environment import commit, machine
from mofa3d.fused_vertex_loss import FusedVertexLoss
from mofa3d.memory import keep_freed_memory
from mofa3d.objective import LossWeights, evaluate_batch
from mofa3d.training import TrainingConfig, make_optimizer
from renderers import make_renderer

PARTS = ("encoder", "decoder and loss", "optimizer", "step")


@dataclass(frozen=True)
class Config:
    encoder: str = "alexnet"
    batch_size: int = 5
    optimizer: Literal["adadelta", "adam"] = "adadelta"
    input_size: int | None = None
    """Side at which the encoder looks; None is the crop's own 240."""
    steps: int = 10
    bfloat16: bool = True
    """Let the fast step's encoder compute in it."""
    whole_model: bool = False
    """Let the plain step decode every vertex, not only those the loss uses."""


@dataclass(frozen=True)
class Step:
    """One way to do a training step."""

    encoder: Encoder
    optimizer: torch.optim.Optimizer
    losses: Callable[[Tensor], dict[str, Tensor]]
    bfloat16: bool

    def __call__(self, image: Tensor) -> list[float]:
        """Seconds of `PARTS`."""
        self.optimizer.zero_grad(set_to_none=True)
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            vector = self.encoder(image)
        encoded = time.perf_counter()
        leaf = vector.detach().requires_grad_()
        terms = self.losses(leaf)
        sum(getattr(LossWeights(), name) * term.mean() for name, term in terms.items()).backward()
        decoded = time.perf_counter()
        vector.backward(leaf.grad)
        returned = time.perf_counter()
        self.optimizer.step()
        end = time.perf_counter()
        return [encoded - start + returned - decoded, decoded - encoded, end - returned, end - start]


def make_steps(config: Config, batch: dict[str, Tensor]) -> dict[str, Step]:
    """Plain PyTorch, and what trainings do."""
    model, camera = load_model("makehuman"), Camera(240)
    plain = Decoder(model if config.whole_model else model.restrict(model.frontal), camera, fused=False)
    fused, render = FusedVertexLoss(model, camera), make_renderer("vertex")
    training = TrainingConfig(optimizer=config.optimizer)

    def losses(fused: FusedVertexLoss | None) -> Callable[[Tensor], dict[str, Tensor]]:
        def evaluate(vector: Tensor) -> dict[str, Tensor]:
            code = SemanticCode.from_vector(vector, model.sizes)
            return evaluate_batch(code, batch, LossWeights(), plain, render, fused)[0]

        return evaluate

    def encoder() -> Encoder:
        torch.manual_seed(0)
        return make_encoder(config.encoder, sizes=model.sizes, weights=None, input_size=config.input_size).train()

    first, second = encoder(), encoder()
    kinds = {"adadelta": torch.optim.Adadelta, "adam": torch.optim.Adam}
    groups = first.parameter_groups(training.learning_rate, training.depth_learning_rate)
    return {
        "plain": Step(first, kinds[config.optimizer](groups), losses(None), bfloat16=False),
        "fast": Step(second, make_optimizer(second, training), losses(fused), config.bfloat16),
    }


def main(config: Config) -> None:
    torch.manual_seed(0)
    keep_freed_memory()
    image = torch.rand(config.batch_size, 3, 240, 240)
    steps = make_steps(config, {"image": image})
    times: dict[str, list[list[float]]] = {name: [] for name in steps}
    for _ in range(config.steps + 1):
        for name, step in steps.items():
            times[name].append(step(image))
    print(f"{config}\n{machine()}, commit {commit()}")
    # The first step allocates and compiles.
    columns = {name: list(zip(*values[1:], strict=True)) for name, values in times.items()}
    for part, *both in zip(PARTS, *columns.values(), strict=True):
        medians = [1e3 * statistics.median(values) for values in both]
        shown = [
            f"{name} median {median:7.1f} ms, {1e3 * min(values):.1f} to {1e3 * max(values):.1f}"
            for name, median, values in zip(steps, medians, both, strict=True)
        ]
        print(f"{part:>17}: {'; '.join(shown)}; {medians[0] / medians[1]:.1f} times as fast")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
