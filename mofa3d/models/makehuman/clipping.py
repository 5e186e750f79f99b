"""Cut a triangle mesh along the zero line of a field, as a sparse matrix, so that every mode is cut the same way."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse


def clip(field: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Keep the part of a mesh on which a field is positive.

    Args:
        field: (V,) values at the vertices, linear along edges.
        triangles: (F, 3).

    Returns:
        The matrix (V+C, V) from old vertices to old vertices and cut points, the triangles (G, 3) of the positive part,
        oriented as before, and which old triangle each comes from (G,). Vertices that no triangle uses any more stay.
    """
    count = len(field)
    positive = field > 0
    corners_in = positive[triangles].sum(axis=1)
    whole, one, two = (np.flatnonzero(corners_in == number) for number in (3, 1, 2))
    # Turn each cut triangle so that the corner that is alone on its side comes first.
    tip = _turned(triangles[one], positive[triangles[one]])
    base = _turned(triangles[two], ~positive[triangles[two]])
    cut_edges = np.concatenate([tip[:, [0, 1]], tip[:, [0, 2]], base[:, [0, 1]], base[:, [0, 2]]])
    edges, index = np.unique(np.sort(cut_edges, axis=1), axis=0, return_inverse=True)
    tip_first, tip_last, base_first, base_last = np.split(
        index.ravel() + count, np.cumsum([len(one), len(one), len(two)])
    )
    pieces = [
        triangles[whole],
        np.stack([tip[:, 0], tip_first, tip_last], axis=1),
        np.stack([base_first, base[:, 1], base[:, 2]], axis=1),
        np.stack([base_first, base[:, 2], base_last], axis=1),
    ]
    start, end = field[edges[:, 0]], field[edges[:, 1]]
    share = start / (start - end)
    rows = np.arange(len(edges))
    cut_points = sparse.csr_matrix(
        (np.concatenate([1 - share, share]), (np.tile(rows, 2), edges.T.ravel())), shape=(len(edges), count)
    )
    matrix = sparse.vstack([sparse.identity(count), cut_points]).tocsr()
    return matrix, np.concatenate(pieces), np.concatenate([whole, one, two, two])


def _turned(triangles: np.ndarray, alone: np.ndarray) -> np.ndarray:
    first = alone.argmax(axis=1)[:, None]
    return np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
