"""Give the front of a head most of its texture: there, people look, and photographs show more than anywhere else.

At one number of texels per millimetre for a whole head, the face would have a tenth of them. So charts without any of
the front are made smaller, and those with some are squeezed away from it, along each axis for itself, so that no
triangle turns over.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

HIDDEN = 0.15  # size of charts that show nothing of the front
PART = 0.6  # of small charts of it, as eyeballs are, whose larger part nobody sees
SMALL = 0.5  # of the largest chart of the front, up to which one is small
ENOUGH = 0.3  # of the area, for the front to need no more room
SOFT = 7.0  # mm from the front at which half of its texels per millimetre are left
LEAST = 0.035  # of them, far away
STEPS = 512  # of the integral of the density


def room_for_front(
    corners: Float[np.ndarray, "F 3 2"], chart: Int[np.ndarray, "F"], front: Bool[np.ndarray, "F"]
) -> Float[np.ndarray, "F 3 2"]:
    """Squeeze what does not belong to the front.

    Args:
        corners: of the triangles in mm, each chart in coordinates of its own.
        chart: number of each triangle's chart.
        front: which triangles are the front; nothing changes if there are none, or if they have enough of the area, as
            in a model without the back of the head.
    """
    if not front.any() or _area(corners[front]) > ENOUGH * _area(corners):
        return corners
    count = np.bincount(chart, front)
    size = np.select([count == 0, count < SMALL * count.max()], [HIDDEN, PART], 1.0)
    result = corners * size[chart][:, None, None]
    for number in np.flatnonzero(size == 1.0):
        chosen = chart == number
        for axis in range(2):
            own, shown = corners[chosen, :, axis], corners[chosen & front, :, axis]
            result[chosen, :, axis] = _squeezed(own, float(shown.min()), float(shown.max()))
    return result


def _squeezed(values: Float[np.ndarray, "K 3"], low: float, high: float) -> Float[np.ndarray, "K 3"]:
    """Coordinates with their distances kept from low to high, and ever shorter ones beyond."""
    at = np.union1d(np.linspace(values.min(), values.max(), STEPS), (low, high))
    beyond = np.maximum(np.maximum(low - at, at - high), 0.0)
    density = np.maximum(1 / (1 + np.square(beyond / SOFT)), LEAST)
    steps = np.diff(at) * (density[1:] + density[:-1]) / 2
    return np.interp(values, at, np.concatenate([[0.0], steps.cumsum()]))


def _area(corners: Float[np.ndarray, "F 3 2"]) -> float:
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float(np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).sum() / 2)
