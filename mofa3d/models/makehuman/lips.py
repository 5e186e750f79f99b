"""Where lips meet at rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mofa3d.models.nearest_surface import vertex_normals

UPPER_ROW, LOWER_ROW = (
    [60, 61, 62, 63, 64],
    [60, 67, 66, 65, 64],
)  # iBUG points of the inner lips, to the subject's left
PLACES = 13  # at which the gap is measured
INNER = 0.9  # of the way from the middle to the corners, where the last ones are
WINDOW = (1.2, 6.0, 8.0)  # mm around the seam in x, y and z in which lips are looked for
FACING = 0.6  # least y of the normals of surfaces that meet
SLOPE = 0.5  # mm of height that a vertex may be worth less for each mm that it is beside the place


class Contact(NamedTuple):
    """Where lips meet.

    Attributes:
        seam: (K, 3) mm, from the subject's right to the left.
        upper, lower: (K,) the lowest vertex of the upper lip and the highest of the lower one at each place.
    """

    seam: Float[np.ndarray, "K 3"]
    upper: Int[np.ndarray, "K"]
    lower: Int[np.ndarray, "K"]

    def gap(self, heights: Float[np.ndarray, "N *D"]) -> Float[np.ndarray, "K *D"]:
        """How far lips are apart, of y coordinates or of what modes do to them."""
        return heights[self.upper] - heights[self.lower]


def find_contact(
    vertices: Float[np.ndarray, "N 3"],
    triangles: Int[np.ndarray, "F 3"],
    landmarks: Float[np.ndarray, "68 3"],
    inner: float = INNER,
) -> Contact:
    """Find it on a face at rest; all in mm. `inner` is how far towards the corners, at 1, the last places are."""
    normals = vertex_normals(vertices, triangles)
    rows = [landmarks[row] for row in (UPPER_ROW, LOWER_ROW)]
    places = inner * np.linspace(landmarks[60, 0], landmarks[64, 0], PLACES)
    seam = np.stack(
        [np.mean([np.interp(places, row[:, 0], row[:, axis]) for row in rows], axis=0) for axis in range(3)], axis=1
    )
    upper, lower = [], []
    for point in seam:
        near = (np.abs(vertices - point) < WINDOW).all(axis=1)
        down, up = (np.flatnonzero(near & (sign * normals[:, 1] > FACING)) for sign in (-1, 1))
        # Of vertices that are as low, or high, those nearest to the place: lips slope, and it is a gap at one place.
        slope = SLOPE * np.abs(vertices[:, 0] - point[0])
        upper.append(down[(vertices[down, 1] + slope[down]).argmin()])
        lower.append(up[(vertices[up, 1] - slope[up]).argmax()])
    found = Contact(seam, np.array(upper), np.array(lower))
    return found._replace(seam=(vertices[found.upper] + vertices[found.lower]) / 2)
