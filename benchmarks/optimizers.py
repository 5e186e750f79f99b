"""AdaDelta's step on all parameters of an encoder: PyTorch's, and in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from benchmarks.measure import Setup, Timing, compare
from mofa3d.encoders.factored_linear import FactoredLinear
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.training.adadelta import Adadelta

SUBJECT = "optimizers"
# Bytes of a parameter: value, gradient and two means are read, all but the gradient are written.
MOVED = 4 * (4 + 3)
BATCH = 5  # of the factors of gradients


def rows(setup: Setup) -> Iterator[Timing]:
    for name in ("mobilenet_v2",) if setup.quick else ("alexnet", "mobilenet_v2"):
        encoder = with_gradients(name)
        count = sum(value.numel() for value in encoder.parameters())
        works = {
            "torch": torch.optim.Adadelta(encoder.parameters(), 0.1).step,
            "fused": Adadelta(with_gradients(name).parameters(), 0.1).step,
        }
        if any(isinstance(layer, FactoredLinear) for layer in encoder.modules()):
            works["fused, with factors of gradients"] = in_backward(with_gradients(name))
        floor = setup.ceilings.floor(0, MOVED * count)
        setting = f"AdaDelta, {name}, {count / 1e6:.0f} million"
        found = compare(setup, SUBJECT, setting, works, floor, setup.repeats)
        yield from found[:2]
        for row in found[2:]:  # whose gradients need not be read
            unread = 4 * sum(layer.weight.numel() for layer in encoder.modules() if isinstance(layer, FactoredLinear))
            yield replace(row, floor=setup.ceilings.floor(0, MOVED * count - unread))


def with_gradients(name: str) -> Encoder:
    torch.manual_seed(0)
    encoder = make_encoder(name, weights=None)
    for value in encoder.parameters():
        value.grad = 1e-3 * torch.randn_like(value)
    return encoder


def in_backward(encoder: Encoder) -> Callable[[], object]:
    """A training's `step_in_backward`: large layers step from the factors of their gradient, the rest from gradients.

    The gradients of what came into those layers, which trainings need too, are found along with it.
    """
    optimizer = Adadelta(encoder.parameters(), 0.1)
    factors = []
    for layer in encoder.modules():
        if isinstance(layer, FactoredLinear):
            layer.weight.grad = None
            optimizer.step_in_backward(layer.weight)
            left, right = (1e-2 * torch.randn(BATCH, size) for size in layer.weight.shape)
            factors.append((layer.weight, left, right))

    def step() -> None:
        for weight, left, right in factors:
            weight.take_step(weight, left, right)
        optimizer.step()

    return step
