"""How eyeballs, mouth and teeth follow a movement that only the skin is known to make."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Float, Int

from mofa3d.models.makehuman.cage import EYES, MOUTH, SKIN, Cage

MIDDLE = 0.3  # weight of moving with the middle of the lids, against staying as far from each of their points
NEAR_TEETH = 0.2  # dm over which lips and the mouth's wall lose their hold on a tooth


def follow(cage: Cage, movement: Float[np.ndarray, "S C"]) -> Float[np.ndarray, "V C"]:
    """A movement of the skin continued to all vertices.

    Eyeballs keep their shape and stay behind their lids; the wall of the mouth is stretched from the lips inwards;
    teeth move with what is near them.

    Args:
        cage: its vertices say what is near.
        movement: of the skin's vertices, ascending; C is three coordinates times any number of columns, coordinates
            first (as of an array (S, 3, K) that was flattened).
    """
    skin = cage.skin
    result = np.zeros((len(cage.vertices), movement.shape[1]))
    result[skin] = movement
    known = np.zeros(len(cage.vertices), dtype=bool)
    known[skin] = True
    wall = np.setdiff1d(cage.quads[cage.of(MOUTH)], skin)
    result[wall] = _stretched(cage, result, known, wall)
    known[wall] = True
    border = border_vertices(cage.quads[cage.of(*SKIN)])
    for side in ("L", "R"):
        eye = np.unique(cage.quads[cage.of(*(part for part in EYES if part.endswith(side)))])
        result[eye] = _eyeball(cage.vertices, eye, border, result)
    lips = np.unique(cage.quads[cage.of(MOUTH)])
    teeth = np.unique(cage.tooth_quads)
    apart = np.square(cage.vertices[teeth, None] - cage.vertices[lips]).sum(axis=2)
    hold = np.exp(-(apart - apart.min(axis=1, keepdims=True)) / (2 * NEAR_TEETH**2))
    result[teeth] = hold / hold.sum(axis=1, keepdims=True) @ result[lips]
    return result


def border_vertices(cells: Int[np.ndarray, "Q n"]) -> Int[np.ndarray, "B"]:
    """The vertices of edges that belong to one quad, or triangle, only."""
    sides = np.sort(np.stack([cells, np.roll(cells, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    return np.unique(edges[count == 1])


def _stretched(
    cage: Cage, values: Float[np.ndarray, "V C"], known: np.ndarray, wall: Int[np.ndarray, "W"]
) -> Float[np.ndarray, "W C"]:
    """The harmonic continuation over the mouth's quads."""
    quads = cage.quads[cage.of(MOUTH)]
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    count = len(cage.vertices)
    graph = sparse.csr_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(count, count))
    graph = ((graph + graph.T) > 0).astype(float)
    laplacian = (sparse.diags(graph.sum(axis=1).A1) - graph).tocsr()[wall]
    right = -laplacian[:, np.flatnonzero(known)] @ values[known]
    return scipy.sparse.linalg.splu(laplacian[:, wall].tocsc()).solve(np.ascontiguousarray(right))


def _eyeball(
    vertices: Float[np.ndarray, "V 3"],
    eye: Int[np.ndarray, "E"],
    border: Int[np.ndarray, "B"],
    movement: Float[np.ndarray, "V C"],
) -> Float[np.ndarray, "1 C"]:
    """The shift that least changes how far the lids' edges are from the eyeball's middle, and does not leave them."""
    middle = (vertices[eye].min(axis=0) + vertices[eye].max(axis=0)) / 2
    radius = np.ptp(vertices[eye], axis=0).max() / 2
    lids = border[np.linalg.norm(vertices[border] - middle, axis=1) < 1.5 * radius]
    away = vertices[lids] - middle
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    moved = movement[lids].reshape(len(lids), 3, -1)
    matrix = away.T @ away / len(lids) + MIDDLE**2 * np.eye(3)
    right = np.einsum("li,lj,ljk->ik", away, away, moved) / len(lids) + MIDDLE**2 * moved.mean(axis=0)
    return np.linalg.solve(matrix, right).reshape(1, -1)
