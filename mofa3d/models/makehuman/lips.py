"""Lips that meet at rest, in the average face and in everybody's.

Scans and artists leave a gap of half a millimetre between closed lips, and shape columns would open and close it: what
is seen through it is teeth. How far lips are apart is a matter of expression, so that it is taken out of the identity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int

from mofa3d.models.nearest_surface import vertex_normals

UPPER_ROW, LOWER_ROW = (
    [60, 61, 62, 63, 64],
    [60, 67, 66, 65, 64],
)  # iBUG points of the inner lips, to the subject's left
PLACES = 13  # at which the gap is measured
INNER = 0.9  # of the way from the middle to the corners, where the last ones are
BENDS = 4  # polynomials over the width of the mouth that close it smoothly, and leave its corners
WINDOW = (1.2, 6.0, 8.0)  # mm around the seam in x, y and z in which lips are looked for
FACING = 0.6  # least y of the normals of surfaces that meet
SLOPE = 0.5  # mm of height that a vertex may be worth less for each mm that it is beside the place
PRESSED = 0.6  # mm by which closed lips overlap
REACH = 9.0  # mm from the seam over which the closing fades
SHARP = 1.0  # mm from the seam at which a point belongs to one lip
RIDGE = 1e-3


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


class LipClosing:
    """Moves the vertices of a cage so that the lips of its refined mesh meet.

    Args:
        contact: on the refined mesh.
        refine: from the cage's vertices to it.
        vertices: of the cage, mm, at rest.
    """

    def __init__(self, contact: Contact, refine: sparse.csr_matrix, vertices: Float[np.ndarray, "V 3"]) -> None:
        self._rows = (refine[contact.upper] - refine[contact.lower]).tocsr()
        x, y, z = contact.seam.T
        inside = np.clip(vertices[:, 0], x[0], x[-1])
        away = vertices - np.stack([inside, np.interp(inside, x, y), np.interp(inside, x, z)], axis=1)
        hold = np.exp(-np.square(away / REACH).sum(axis=1)) * np.clip(away[:, 1] / SHARP, -1, 1)
        across = np.clip(vertices[:, 0] / (x[-1] / INNER), -1, 1)[:, None]
        self._field = -0.5 * hold[:, None] * (1 - across**4) * across ** np.arange(BENDS)  # (V, BENDS)
        closing = self._rows @ self._field
        self._solve = np.linalg.solve(closing.T @ closing + RIDGE * np.eye(BENDS), closing.T)

    def rest(self, vertices: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
        """A face with lips that meet."""
        return self._moved(vertices[..., None], self._rows @ vertices[:, 1, None] + PRESSED)[..., 0]

    def columns(self, columns: Float[np.ndarray, "V 3 C"]) -> Float[np.ndarray, "V 3 C"]:
        """Modes that leave the lips as far apart as they are."""
        return self._moved(columns, self._rows @ columns[:, 1])

    def _moved(self, values: Float[np.ndarray, "V 3 C"], gap: Float[np.ndarray, "K C"]) -> Float[np.ndarray, "V 3 C"]:
        result = values.copy()
        result[:, 1] -= self._field @ (self._solve @ gap)
        return result
