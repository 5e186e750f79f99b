"""AdaDelta's step on all parameters of an encoder: PyTorch's, and in one pass over memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.measure import Row, Setup, compare
from mofa3d.encoders import Encoder, make_encoder
from mofa3d.optimizers import Adadelta

SUBJECT = "optimizers"
MOVED = 4 * (4 + 3)  # bytes of a parameter: value, gradient and two means are read, all but the gradient are written


def rows(setup: Setup) -> Iterator[Row]:
    for name in ("mobilenet_v2",) if setup.quick else ("alexnet", "mobilenet_v2"):
        pair = [with_gradients(name) for _ in range(2)]
        plain, fast = torch.optim.Adadelta(pair[0].parameters(), 0.1), Adadelta(pair[1].parameters(), 0.1)
        count = sum(value.numel() for value in pair[0].parameters())
        floor = setup.ceilings.floor(0, MOVED * count)
        works = {"torch": plain.step, "fused": fast.step}
        yield from compare(SUBJECT, f"AdaDelta, {name}, {count / 1e6:.0f} million", works, floor, setup.repeats)


def with_gradients(name: str) -> Encoder:
    torch.manual_seed(0)
    encoder = make_encoder(name, weights=None)
    for value in encoder.parameters():
        value.grad = 1e-3 * torch.randn_like(value)
    return encoder
