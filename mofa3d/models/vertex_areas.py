"""How much of a surface is around each vertex."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def vertex_areas(vertices: Float[np.ndarray, "N 3"], faces: np.ndarray) -> Float[np.ndarray, "N"]:
    """A third of the triangles around each vertex, mm²."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(vertices))
