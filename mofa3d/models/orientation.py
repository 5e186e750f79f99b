"""Turn triangles so that they are counter-clockwise seen from outside, whatever the order in their file."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components


def orient(vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F 3"]:
    """Flip triangles until neighbours agree and each connected part looks outwards.

    Outwards means away from a point behind the face, so that an open mask, a closed head, an eyeball and an eye socket
    all get the side that a camera in front of them sees. Parts that cannot be oriented (a Möbius strip) stay as they
    are. The order of the triangles is kept; a flipped one has its last two corners swapped.

    Args:
        vertices: +Z out of the face, any unit.
        faces: triangles in any winding.
    """
    count = len(faces)
    # Two nodes for each triangle, one for each winding; an edge of the graph joins windings that agree.
    first, second, same_direction = _neighbours(faces)
    swap = same_direction * count
    rows = np.concatenate([first, first + count])
    columns = np.concatenate([second + swap, second + count - swap])
    graph = sparse.coo_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(2 * count, 2 * count))
    _, part = connected_components(graph, directed=False)
    behind = np.array([*vertices[:, :2].mean(axis=0), vertices[:, 2].min()])
    a, b, c = (vertices[faces[:, corner]] - behind for corner in range(3))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c))
    total = np.bincount(part, weights=np.concatenate([volume, -volume]))
    inwards = total[part[:count]] < -1e-9 * np.abs(volume).sum()
    return np.where(inwards[:, None], faces[:, [0, 2, 1]], faces)


def _neighbours(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of triangles that share an edge with no third one, and whether both run along it in the same direction."""
    start, end = faces.T.ravel(), faces[:, [1, 2, 0]].T.ravel()
    owner = np.tile(np.arange(len(faces)), 3)
    _, index, number = np.unique(
        np.stack([np.minimum(start, end), np.maximum(start, end)]), axis=1, return_inverse=True, return_counts=True
    )
    paired = np.flatnonzero(number[index.ravel()] == 2)
    one, other = paired[np.argsort(index.ravel()[paired], kind="stable")].reshape(-1, 2).T
    return owner[one], owner[other], start[one] == start[other]
