"""Dim the light of a photograph, and add even light and a lamp."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d import harmonics

# Factors of the clamped cosine that `harmonics.basis` holds, function by function.
COSINE = (1.0, *(2 / 3,) * 3, *(1 / 4,) * 5)
PEAK = 1 + 3 * 2 / 3 + 5 / 4  # what the lamp's nine terms sum to on a surface that faces it


@dataclass(frozen=True)
class Lamp:
    """A white lamp far away.

    Attributes:
        strength: irradiance of a surface that faces it.
        azimuth, elevation: degrees to the right of the picture and upwards, from the direction of the camera.
    """

    strength: float
    azimuth: float
    elevation: float

    def light(self) -> Float[Tensor, "9"]:
        """Its coefficients in `mofa3d.harmonics`: the best second-order likeness of max(0, n · l)."""
        around, up = math.radians(self.azimuth), math.radians(self.elevation)
        towards = torch.tensor([math.sin(around) * math.cos(up), math.sin(up), math.cos(around) * math.cos(up)])
        # The basis already carries the cosine's factor once, for the normal; the lamp's direction must not.
        return self.strength / PEAK * harmonics.basis(towards) / torch.tensor(COSINE)


def relit(
    illumination: Float[Tensor, "1 9 3"], kept: float, ambient: float, lamp: Lamp
) -> Float[Tensor, "1 9 3"]:
    """An illumination code with its light dimmed, and even light and a lamp added.

    Args:
        kept: share of the light, the constant 0.7 included, that stays.
        ambient: irradiance added everywhere.
    """
    even = torch.zeros(9)
    even[0] = ambient - (1 - kept) * harmonics.AMBIENT
    added = (even + lamp.light()).to(illumination)
    return kept * illumination + added[:, None]
