"""Parts of the skin that count differently, found by the landmarks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

BEHIND, BELOW, ABOVE = 5.0, 10.0, 55.0  # mm beyond the ends of the jaw, the chin and the brow that are still face
UNDER = 25.0  # mm below the chin, where the neck begins


class Regions(NamedTuple):
    """Vertices of the skin's surface.

    Attributes:
        face: chin to forehead, before the ears.
        ears: the ears.
        neck: below the chin.
        skull: all others.
    """

    face: Bool[np.ndarray, "N"]
    ears: Bool[np.ndarray, "N"]
    neck: Bool[np.ndarray, "N"]
    skull: Bool[np.ndarray, "N"]


def find_regions(
    surface: Float[np.ndarray, "N 3"], landmarks: Float[np.ndarray, "68 3"], ears: Bool[np.ndarray, "N"]
) -> Regions:
    """The regions of a surface in mm with its iBUG points, and which of its vertices are ears."""
    _, y, z = surface.T
    face = (z > landmarks[[1, 15], 2].mean() - BEHIND) & ~ears
    face &= (y > landmarks[8, 1] - BELOW) & (y < landmarks[19, 1] + ABOVE)
    neck = ~face & (y < landmarks[8, 1] - UNDER)
    return Regions(face, ears, neck, ~(face | ears | neck))
