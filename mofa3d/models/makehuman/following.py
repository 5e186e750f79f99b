"""How eyeballs, mouth and teeth follow a movement that only the skin is known to make."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from mofa3d.models.makehuman.cage import EYES, MOUTH, SKIN, Cage

MIDDLE = 0.3  # weight of moving with the middle of the lids, against staying as far from each of their points
NEAR_WALL, HELD = 0.08, 4.0  # dm over which skin loses its hold on the mouth's wall behind it, and how firm that is
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
    result = np.zeros((len(cage.vertices), movement.shape[1]))
    result[cage.skin] = movement
    result = stretch_wall(cage, result)
    border = border_vertices(cage.quads[cage.of(*SKIN)])
    for side in ("L", "R"):
        eye = np.unique(cage.quads[cage.of(*(part for part in EYES if part.endswith(side)))])
        result[eye] = _eyeball(cage.vertices, eye, border, result)
    lips = np.unique(cage.quads[cage.of(MOUTH)])
    teeth = np.unique(cage.tooth_quads)
    result[teeth] = _near(cage.vertices, teeth, lips, NEAR_TEETH) @ result[lips]
    return result


def stretch_wall(cage: Cage, movement: Float[np.ndarray, "V C"]) -> Float[np.ndarray, "V C"]:
    """A movement in which the mouth's wall does only what the skin does: at the lips, from which it is continued
    harmonically, and in front of it where that is near.
    """
    wall = np.setdiff1d(cage.quads[cage.of(MOUTH)], cage.skin)
    quads = cage.quads[cage.of(MOUTH)]
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    count = len(cage.vertices)
    graph = sparse.csr_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(count, count))
    graph = ((graph + graph.T) > 0).astype(float)
    laplacian = (sparse.diags(graph.sum(axis=1).A1) - graph).tocsr()[wall]
    near = cKDTree(cage.vertices[cage.skin]).query(cage.vertices[wall])[0]
    hold = HELD * np.exp(-np.square(near / NEAR_WALL))
    right = hold[:, None] * (_near(cage.vertices, wall, cage.skin, NEAR_WALL / 2) @ movement[cage.skin])
    right -= laplacian[:, cage.skin] @ movement[cage.skin]
    result = movement.copy()
    result[wall] = scipy.sparse.linalg.splu((laplacian[:, wall] + sparse.diags(hold)).tocsc()).solve(right)
    return result


def _near(
    vertices: Float[np.ndarray, "V 3"], asked: Int[np.ndarray, "A"], others: Int[np.ndarray, "O"], reach: float
) -> Float[np.ndarray, "A O"]:
    """Weights, of sum 1, of the others for each vertex asked for: those about as near as the nearest."""
    apart = np.square(vertices[asked, None] - vertices[others]).sum(axis=2)
    hold = np.exp(-(apart - apart.min(axis=1, keepdims=True)) / (2 * reach**2))
    return hold / hold.sum(axis=1, keepdims=True)


def border_vertices(cells: Int[np.ndarray, "Q n"]) -> Int[np.ndarray, "B"]:
    """The vertices of edges that belong to one quad, or triangle, only."""
    sides = np.sort(np.stack([cells, np.roll(cells, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    return np.unique(edges[count == 1])


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
