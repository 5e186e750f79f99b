"""Optimise semantic codes for photographs, starting from an encoder's prediction."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from mofa3d.decoder import Decoder
from mofa3d.numeric_options import check_ranges
from mofa3d.objective import Batch, LossWeights, compute_losses
from mofa3d.scene import Renderer
from mofa3d.semantic_code import OutputScales, SemanticCode

LEAST_RATE = 0.05  # of the learning rate, in the last step


@dataclass(frozen=True)
class FitConfig:
    """How to fit.

    Attributes:
        steps: number of Adam steps.
        learning_rate: initial rate in units of `scales`; it decays to the fraction `LEAST_RATE`.
        loss: weights of the terms of the energy.
        scales: step size of each block of the code.
    """

    steps: int = 25
    learning_rate: float = 0.1
    loss: LossWeights = field(default_factory=lambda: LossWeights(regularizer=1e-4, landmark=2.0, coloured_light=1.0))
    scales: OutputScales = field(
        default_factory=lambda: OutputScales(
            shape=0.3,
            expression=0.3,
            reflectance=0.3,
            rotation=0.1,
            translation_xy=5.0,
            translation_z=10.0,
            illumination=0.1,
        )
    )

    def __post_init__(self) -> None:
        check_ranges(self, steps=(0, 1_000_000), learning_rate=(0, 1000))


def fit_codes(
    codes: SemanticCode, batch: Batch, decode: Decoder, render: Renderer, config: FitConfig | None = None
) -> SemanticCode:
    """Lower the training loss of each photograph by gradient descent on its code.

    Args:
        codes: where to start.
        batch: the photographs, see `mofa3d.objective.compute_losses`.
        decode, render: how an image is formed.
        config: how to fit.

    Raises:
        ValueError: codes and photographs differ in number.
    """
    config = config or FitConfig()
    if len(codes) != len(batch["image"]):
        raise ValueError(f"{len(codes)} codes cannot fit {len(batch['image'])} photographs")
    start = codes.to_vector().detach()
    scales = config.scales.vector(codes.sizes).to(start)
    moved = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([moved], lr=config.learning_rate)
    for step in range(config.steps):
        optimizer.param_groups[0]["lr"] = config.learning_rate * max(LEAST_RATE, 1 - step / config.steps)
        code = SemanticCode.from_vector(start + moved * scales, codes.sizes)
        scene = decode(code)
        terms = compute_losses(code, scene, render(scene), batch, config.loss)
        energy = sum(getattr(config.loss, name) * value.sum() for name, value in terms.items())
        optimizer.zero_grad()
        energy.backward()
        optimizer.step()
    return SemanticCode.from_vector((start + moved * scales).detach(), codes.sizes)
