"""Encoders whose codes depend on the image, unlike those of a fresh one."""

from __future__ import annotations

import copy
from functools import cache

import torch
from torch import nn

from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.semantic_code import CodeSizes

SIZES = CodeSizes(5, 4, 6)


def liven(encoder: Encoder) -> Encoder:
    """Fill heads and norms with random numbers, and give norms the statistics of a few images."""
    generator = torch.Generator().manual_seed(0)
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = 1.0
        nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
        nn.init.normal_(layer.bias, std=0.3, generator=generator)
    if norms:
        with torch.no_grad():
            encoder.train()(images(64, 4))
    for head in (encoder.head, encoder.depth_head):
        nn.init.normal_(head.weight, std=0.1, generator=generator)
        nn.init.normal_(head.bias, generator=generator)
    return encoder.eval()


@cache
def lively(name: str, input_size: int | None = None) -> Encoder:
    """One of `make_encoder`'s networks, shared by the tests."""
    torch.manual_seed(0)
    return liven(make_encoder(name, sizes=SIZES, weights=None, input_size=input_size))


def images(size: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def is_as_good(found: torch.Tensor, encoder: Encoder, image: torch.Tensor) -> bool:
    """Whether codes come as near to the encoder's in float64 as its own in float32 do, within a factor of three.

    Random networks amplify rounding, each by another factor, so that no fixed tolerance would do.
    """
    exact = copy.deepcopy(encoder).double()(image.double()).detach()
    size = float(exact.abs().max())
    assert float((exact[0] - exact[1]).abs().max()) > 1e-3 * size  # the codes depend on the image
    rounding = float((encoder(image).detach() - exact).abs().max())
    return float((found - exact).abs().max()) < 3 * rounding + 1e-6 * size
