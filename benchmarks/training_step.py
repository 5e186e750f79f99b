"""Time one training step, split into encoder, decoder with loss, and optimiser.

    python benchmarks/training_step.py --encoder alexnet --batch-size 5 --optimizer adadelta   # the paper's setting
    python benchmarks/training_step.py --encoder mobilenet_v2 --batch-size 24 --input-size 112
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Literal

import torch
import tyro

from mofa3d import Camera, Decoder, SemanticCode, load_model, losses
from mofa3d.encoders import make_encoder
from mofa3d.environment import commit, machine
from mofa3d.training import TrainingConfig, make_optimizer
from renderers import make_renderer


@dataclass(frozen=True)
class Config:
    encoder: str = "alexnet"
    batch_size: int = 5
    optimizer: Literal["adadelta", "adam"] = "adadelta"
    input_size: int | None = None
    """Side at which the encoder looks; None is the crop's own 240."""
    steps: int = 10
    whole_model: bool = False
    """Decode every vertex, not only those the loss uses."""


def main(config: Config) -> None:
    torch.manual_seed(0)
    model = load_model("makehuman")
    decode = Decoder(model if config.whole_model else model.restrict(model.frontal), Camera(240))
    encoder = make_encoder(config.encoder, sizes=model.sizes, weights=None, input_size=config.input_size).train()
    optimizer = make_optimizer(encoder, TrainingConfig(optimizer=config.optimizer))
    render, image = make_renderer("vertex"), torch.rand(config.batch_size, 3, 240, 240)
    times: dict[str, list[float]] = {"encoder": [], "decoder and loss": [], "optimizer": [], "step": []}
    for _ in range(config.steps + 1):
        optimizer.zero_grad(set_to_none=True)
        start = time.perf_counter()
        vector = encoder(image)
        encoded = time.perf_counter()
        leaf = vector.detach().requires_grad_()
        code = SemanticCode.from_vector(leaf, model.sizes)
        loss = 1.92 * losses.photometric(render(decode(code)), image) + 2.9e-5 * losses.regularizer(code)
        loss.mean().backward()
        decoded = time.perf_counter()
        vector.backward(leaf.grad)
        returned = time.perf_counter()
        optimizer.step()
        end = time.perf_counter()
        times["encoder"].append(encoded - start + returned - decoded)
        times["decoder and loss"].append(decoded - encoded)
        times["optimizer"].append(end - returned)
        times["step"].append(end - start)
    print(f"{config}\n{machine()}, commit {commit()}")
    for name, values in times.items():
        values = [1e3 * value for value in sorted(values[1:])]  # the first step allocates
        print(f"{name:>17}: median {statistics.median(values):7.1f} ms, {values[0]:.1f} to {values[-1]:.1f}")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
