"""Catmull-Clark subdivision as a sparse matrix, so that every mode of the model is refined the same way."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse


def catmull_clark(count: int, quads: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One subdivision step of a quad mesh with borders.

    Args:
        count: vertices V.
        quads: (Q, 4).

    Returns:
        The matrix (V+E+Q, V) from old to new vertices (moved old ones, edge points, face points) and the new quads.

    Reference: Catmull and Clark 1978; border edges and vertices follow the uniform cubic B-spline.
    """
    edges = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, edge_of_side = np.unique(edges, axis=0, return_inverse=True)
    edge_of_side = edge_of_side.ravel()
    quad_count, edge_count = len(quads), len(edges)
    quad_of_side = np.repeat(np.arange(quad_count), 4)

    def matrix(values, rows, columns, shape):
        return sparse.csr_matrix((values, (rows, columns)), shape=shape)

    face_points = matrix(np.full(4 * quad_count, 0.25), quad_of_side, quads.ravel(), (quad_count, count))
    edge_ids = np.repeat(np.arange(edge_count), 2)
    midpoints = matrix(np.full(2 * edge_count, 0.5), edge_ids, edges.ravel(), (edge_count, count))
    border = np.bincount(edge_of_side, minlength=edge_count) == 1
    faces_of_edge = matrix(np.ones(4 * quad_count), edge_of_side, quad_of_side, (edge_count, quad_count))
    edge_points = sparse.diags(np.where(border, 1.0, 0.5)) @ midpoints + sparse.diags(np.where(border, 0.0, 0.25)) @ (
        faces_of_edge @ face_points
    )

    faces_of_vertex = matrix(np.ones(4 * quad_count), quads.ravel(), quad_of_side, (count, quad_count))
    edges_of_vertex = matrix(np.ones(2 * edge_count), edges.ravel(), edge_ids, (count, edge_count))
    face_valence = np.maximum(faces_of_vertex.sum(axis=1).A1, 1)
    valence = np.maximum(edges_of_vertex.sum(axis=1).A1, 1)
    inner = (
        sparse.diags(1 / (valence * face_valence)) @ faces_of_vertex @ face_points
        + sparse.diags(2 / valence**2) @ edges_of_vertex @ midpoints
        + sparse.diags((valence - 3) / valence)
    )
    border_edges = edges_of_vertex @ sparse.diags(border.astype(float))
    border_valence = np.maximum(border_edges.sum(axis=1).A1, 1)
    rim = 0.5 * sparse.identity(count) + sparse.diags(0.5 / border_valence) @ border_edges @ midpoints
    on_border = np.zeros(count)
    on_border[edges[border].ravel()] = 1
    old_points = sparse.diags(1 - on_border) @ inner + sparse.diags(on_border) @ rim

    sides = edge_of_side.reshape(quad_count, 4) + count
    centres = np.arange(quad_count) + count + edge_count
    children = [np.stack([quads[:, i], sides[:, i], centres, sides[:, i - 1]], axis=1) for i in range(4)]
    return sparse.vstack([old_points, edge_points, face_points]).tocsr(), np.concatenate(children)


def to_triangles(count: int, quads: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Split each quad into four triangles around its Catmull-Clark face point.

    Returns:
        The matrix (V+Q, V) and the triangles (4Q, 3), oriented as the quads are.
    """
    quad_of_corner = np.repeat(np.arange(len(quads)), 4)
    centres = sparse.csr_matrix(
        (np.full(4 * len(quads), 0.25), (quad_of_corner, quads.ravel())), shape=(len(quads), count)
    )
    middle = np.arange(len(quads)) + count
    triangles = [np.stack([quads[:, i], quads[:, (i + 1) % 4], middle], axis=1) for i in range(4)]
    return sparse.vstack([sparse.identity(count), centres]).tocsr(), np.concatenate(triangles)


def spread(matrix: sparse.csr_matrix, columns: np.ndarray, count: int) -> sparse.csr_matrix:
    """A matrix (N, U) as one (N, count) with its columns at other places."""
    coo = matrix.tocoo()
    return sparse.csr_matrix((coo.data, (coo.row, columns[coo.col])), shape=(matrix.shape[0], count))
