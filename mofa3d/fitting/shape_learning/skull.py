"""Skulls as broad as people's, behind faces that stay as they are.

Scanners see faces; of skulls under hair, populations hold what somebody modeled: ICT-FaceKit's are 159 ± 5 mm broad on
average, where surveys of thousands of people found 152 ± 6 mm (6,068 soldiers of ANSUR II, women and men together).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mofa3d.fitting.shape_learning.regions import BEHIND

SHARE = 0.96  # of their breadth
FADES = 35.0  # mm behind the face over which this sets in, and half as much again of height, upwards from the mouth


def narrowing(points: Float[np.ndarray, "N 3"], landmarks: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "N 3"]:
    """What to multiply coordinates with; points and iBUG points in mm. It is 1 in the face and the neck."""
    behind = _smooth((landmarks[[1, 15], 2].mean() - BEHIND - points[:, 2]) / FADES)
    above = _smooth((points[:, 1] - landmarks[[48, 54], 1].mean()) / (1.5 * FADES))
    return 1 - (1 - SHARE) * (behind * above)[:, None] * [1.0, 0.0, 0.0]


def _smooth(share: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """From 0 to 1 without an edge."""
    share = np.clip(share, 0, 1)
    return share**2 * (3 - 2 * share)
