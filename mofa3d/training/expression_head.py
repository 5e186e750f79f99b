"""What an encoder's last layer says about expression and pose, made to fit points again when shapes have changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.objective import LossWeights
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.last_layer import LEAST_SPREAD, LinearMap
from mofa3d.training.target_losses import TargetLosses

BLOCKS = ("expression", "rotation", "translation")
SCALES = (0.05, 0.01, 0.5)  # what a step's unit is of each
STEPS, BATCH, RATE = 300, 128, 1e-3
EXPRESSION = 1e-3  # price of the expression's square


class Known(NamedTuple):
    """Photographs whose points are known.

    Attributes:
        features: of the encoder.
        codes: as predicted, with the new shapes.
        points: (N, 478, 2) px.
    """

    features: Float[Tensor, "N F"]
    codes: SemanticCode
    points: Float[Tensor, "N L 2"]


def changes_for_points(known: Known, losses: TargetLosses, weights: LossWeights, seed: int = 0) -> dict[str, LinearMap]:
    """Linear maps of features to add to the blocks of expression and pose, found by Adam on the points' losses."""
    middle, spread = known.features.mean(dim=0), known.features.std(dim=0) + LEAST_SPREAD
    standard, codes = (known.features - middle) / spread, known.codes.to_vector()
    sizes = known.codes.sizes
    widths = [sizes.slices[name].stop - sizes.slices[name].start for name in BLOCKS]
    units = torch.cat(
        [torch.full((width,), scale, dtype=codes.dtype) for width, scale in zip(widths, SCALES, strict=True)]
    )
    matrix = standard.new_zeros(standard.shape[1], sum(widths)).requires_grad_()
    bias = standard.new_zeros(sum(widths)).requires_grad_()
    optimizer = torch.optim.Adam([matrix, bias], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        some = torch.randint(len(standard), (min(BATCH, len(standard)),), generator=generator)
        code = SemanticCode.from_vector(codes[some], sizes)
        parts = ((standard[some] @ matrix + bias) * units).split(widths, dim=1)
        code = code.replace(**{name: getattr(code, name) + part for name, part in zip(BLOCKS, parts, strict=True)})
        batch = {"dense": known.points[some], "dense_known": standard.new_ones(len(some))}
        terms = losses(code, batch, weights)
        loss = sum(getattr(weights, name) * terms[name] for name in terms) + EXPRESSION * code.expression.square().sum(
            1
        )
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        schedule.step()
    whole = (matrix * units / spread[:, None]).detach().double().numpy()
    level = (bias * units).detach().double().numpy() - middle.double().numpy() @ whole
    ends = np.cumsum(widths)[:-1]
    columns = zip(np.split(whole, ends, axis=1), np.split(level, ends), strict=True)
    return {name: LinearMap(*pair) for name, pair in zip(BLOCKS, columns, strict=True)}
