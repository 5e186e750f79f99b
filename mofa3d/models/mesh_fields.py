"""Functions on the vertices of a mesh: their mirror images, and their smooth continuation beyond what is known."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


def mirror_vertices(vertices: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "N"]:
    """For each vertex the nearest one to its mirror image in the plane x = 0."""
    return cKDTree(vertices).query(vertices * [-1, 1, 1])[1]


def connected_to(chosen: Bool[np.ndarray, "N"], faces: Int[np.ndarray, "F 3"]) -> Bool[np.ndarray, "N"]:
    """Which vertices belong to a connected part of a mesh that has a chosen one."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(sides)), sides.T), shape=(len(chosen), len(chosen)))
    _, part = connected_components(graph, directed=False)
    return np.isin(part, part[chosen])


def extend(
    values: Float[np.ndarray, "N C"],
    known: Bool[np.ndarray, "N"],
    vertices: Float[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    far: Float[np.ndarray, "C"],
    reach: float,
) -> Float[np.ndarray, "N C"]:
    """Continue values smoothly from the known vertices to the others, towards `far` where they are far away.

    Solves the screened Poisson equation Δu = (u − far) / reach² on the mesh.

    Args:
        values: known ones; others do not matter.
        known: where they are.
        vertices: mm.
        faces: triangles.
        far: what to approach away from the known vertices; parts of the mesh without a known vertex take it.
        reach: mm over which the known values lose their influence.
    """
    count = len(vertices)
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    length = np.linalg.norm(vertices[sides[:, 0]] - vertices[sides[:, 1]], axis=1)
    graph = sparse.csr_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(count, count))
    graph = ((graph + graph.T) > 0).astype(float)
    spacing = np.median(length)
    # With edges of about one length, degree − graph is −Δ times 3/2 of its square (a regular triangulation).
    laplacian = sparse.diags(graph.sum(axis=1).A1) - graph
    screen = 1.5 * (spacing / reach) ** 2
    system = (laplacian + screen * sparse.identity(count)).tocsr()
    unknown = np.flatnonzero(~known)
    offset = values[known] - far
    right = -system[unknown][:, np.flatnonzero(known)] @ offset
    solved = scipy.sparse.linalg.splu(system[unknown][:, unknown].tocsc()).solve(np.ascontiguousarray(right))
    result = values.astype(float).copy()
    result[unknown] = solved + far
    return result
