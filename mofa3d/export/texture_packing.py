"""Pack the charts of a texture side by side into the unit square.

Not by xatlas 0.0.11, though it gives the same layout in every run. On the default model's 95 charts, kept upright and
as far apart, it covers 57 % of the square where this covers 52 %: texels 4 % finer. For that it takes 0.25 s instead of
0.02 s, fills a rectangle of its own choice instead of a square, and would be one more compiled package to install.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

COLUMNS = 512  # over which the skyline is kept
GROWTH = 1.02  # of the square from one try to the next


def pack(corners: Float[np.ndarray, "F 3 2"], chart: Int[np.ndarray, "F"], gutter: float) -> Float[np.ndarray, "F 3 2"]:
    """Move charts apart and scale all of them by one factor, so that they fill the unit square.

    Each chart's bounding box, the tallest first, goes to where it lies lowest upon those before it; the square grows
    until they fit.

    Args:
        corners: of the triangles, each chart in coordinates of its own.
        chart: number of each triangle's chart.
        gutter: free width around each chart, as a share of the square's side.
    """
    count = chart.max() + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    for corner in range(3):
        np.minimum.at(low, chart, corners[:, corner])
        np.maximum.at(high, chart, corners[:, corner])
    size = high - low
    side = np.sqrt(size.prod(axis=1).sum())
    while True:
        place = _places(np.ceil((size / side + 2 * gutter) * COLUMNS).astype(int))
        if place is not None:
            return (corners - low[chart][:, None]) / side + (place / COLUMNS + gutter)[chart][:, None]
        side *= GROWTH


def _places(size: Int[np.ndarray, "C 2"]) -> Int[np.ndarray, "C 2"] | None:
    """Lower left corners of boxes in a square of `COLUMNS`, or ``None`` if they do not fit."""
    skyline = np.zeros(COLUMNS, dtype=int)
    place = np.zeros_like(size)
    for box in np.argsort(-size[:, 1], kind="stable"):
        width, height = size[box]
        if width > COLUMNS:
            return None
        heights = np.lib.stride_tricks.sliding_window_view(skyline, width).max(axis=1)
        left = int(heights.argmin())
        bottom = int(heights[left])
        if bottom + height > COLUMNS:
            return None
        skyline[left : left + width] = bottom + height
        place[box] = left, bottom
    return place
