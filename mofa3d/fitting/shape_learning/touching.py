"""Parts of the skin that lie on each other, and have to in every head: lips, the two sides of an ear, ear and skull.

Registered scans keep no such promise: under them, lips come apart and ears pass through themselves by a millimetre.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from mofa3d.fitting.shape_learning.skin import Skin
from mofa3d.models.makehuman.following import border_vertices
from mofa3d.models.nearest_surface import vertex_normals

NEAR, SURE = 3.0, 1.5  # mm beyond which two points are no pair, and over which they lose their hold on each other
OPPOSED, ACROSS = -0.5, 0.7  # cosines: most between two normals, least between one and the way to the other point
NEIGHBOURS = 48  # points among which the opposite one is sought
LIP_HEIGHT, LIP_DEPTH = 4.0, 8.0  # mm about the middle of the lips, and behind their corners, that are lips
LIP_FACING = 0.3  # least part of a normal that looks to the other lip
FOLDED = [*range(31, 48)]  # landmarks of nostrils and lids
AROUND = 12.0  # mm from these, or from an ear
TOUCH, CLOSE = 0.12, 0.8  # mm left between lips that touch, and at which lips do
FIRM, SMOOTH, TINY = 100.0, 1.0, 0.03  # prices of a gap, of roughness, and of a movement, all in mm²


class OpposedPairs(NamedTuple):
    """Points of the skin that lie on each other.

    Attributes:
        between: (L, N) one minus the other, from values at the surface's vertices.
        hold: (L,) in 0 to 1, how firmly.
    """

    between: sparse.csr_matrix
    hold: Float[np.ndarray, "L"]


def touching_pairs(skin: Skin, surface: Float[np.ndarray, "N 3"], ears: Bool[np.ndarray, "N"]) -> OpposedPairs:
    """Pairs of the lips, of lids and nostrils, and of the ears and what is around them."""
    lips = lip_pairs(skin, surface)
    folded = np.concatenate([surface[ears], skin.landmarks_of(surface)[FOLDED]])
    around = cKDTree(folded).query(surface, distance_upper_bound=AROUND)[0] < np.inf
    folds = _pairs(surface, opposed(surface, vertex_normals(surface, skin.triangles), around))
    return together(lips, folds, _pairs(surface, lid_margins(skin, surface)))


def together(*kinds: OpposedPairs) -> OpposedPairs:
    """All pairs of several kinds."""
    between = sparse.vstack([kind.between for kind in kinds]).tocsr()
    return OpposedPairs(between, np.concatenate([kind.hold for kind in kinds]))


def lip_pairs(skin: Skin, surface: Float[np.ndarray, "N 3"]) -> OpposedPairs:
    """Pairs of an upper lip's point (first) and a lower lip's."""
    points = skin.landmarks_of(surface)
    corners, height = points[[48, 54]], points[[62, 66], 1].mean()
    x, y, z = surface.T
    mouth = (x > corners[:, 0].min()) & (x < corners[:, 0].max()) & (np.abs(y - height) < LIP_HEIGHT)
    mouth &= z > corners[:, 2].min() - LIP_DEPTH
    up = vertex_normals(surface, skin.triangles)[:, 1]
    upper, lower = np.flatnonzero(mouth & (up < -LIP_FACING)), np.flatnonzero(mouth & (up > LIP_FACING))
    if not (len(upper) and len(lower)):
        return _pairs(surface, np.empty((0, 2), dtype=np.int64))
    below = lower[cKDTree(surface[lower]).query(surface[upper])[1]]
    above = upper[cKDTree(surface[upper]).query(surface[lower])[1]]
    pairs = np.concatenate([np.stack([upper, below], axis=1), np.stack([above, lower], axis=1)])
    return _pairs(surface, np.unique(pairs, axis=0))


def opposed(
    surface: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"], chosen: Bool[np.ndarray, "N"]
) -> Int[np.ndarray, "L 2"]:
    """For each chosen point the nearest one that looks the other way, straight before or behind it."""
    asked = np.flatnonzero(chosen)
    if not len(asked):
        return np.empty((0, 2), dtype=np.int64)
    count = min(NEIGHBOURS, len(asked))
    apart, found = cKDTree(surface[asked]).query(surface[asked], k=count, distance_upper_bound=NEAR)
    apart, found = apart.reshape(len(asked), -1), found.reshape(len(asked), -1)
    there = asked[np.minimum(found, len(asked) - 1)]
    way = surface[there] - surface[asked, None]
    against = np.einsum("ki,kji->kj", normals[asked], normals[there]) < OPPOSED
    straight = np.abs(np.einsum("ki,kji->kj", normals[asked], way)) > ACROSS * apart
    fits = against & straight & (found < len(asked))
    best = np.where(fits, apart, np.inf).argmin(axis=1)
    rows = np.flatnonzero(fits.any(axis=1))
    return np.stack([asked[rows], there[rows, best[rows]]], axis=1)


def lid_margins(skin: Skin, surface: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "L 2"]:
    """Points next to the edge of a lid (first) and the nearest point of that edge: a margin too narrow to bend."""
    edges = border_vertices(skin.triangles)
    eyes = skin.landmarks_of(surface)[36:48]
    edges = edges[cKDTree(eyes).query(surface[edges])[0] < AROUND]
    if not len(edges):
        return np.empty((0, 2), dtype=np.int64)
    apart, found = cKDTree(surface[edges]).query(surface)
    near = np.flatnonzero((apart > 0) & (apart < NEAR))
    return np.stack([near, edges[found[near]]], axis=1)


def closed(
    skin: Skin, surface: Float[np.ndarray, "N 3"], displacement: Float[np.ndarray, "S 3"]
) -> Float[np.ndarray, "S 3"]:
    """A displacement of the cage after which lips that are in touch, or pass through each other, just touch.

    Args:
        skin: the cage.
        surface: mm, under the displacement.
        displacement: (S, 3) mm.
    """
    pairs = lip_pairs(skin, surface)
    gaps = (pairs.between @ surface)[:, 1]
    touching = gaps < CLOSE
    rows = pairs.between[touching] @ skin.refine
    count = len(skin.vertices)
    matrix = FIRM * rows.T @ rows + SMOOTH * skin.roughness + TINY * sparse.identity(count)
    change = scipy.sparse.linalg.spsolve(matrix.tocsc(), FIRM * rows.T @ (TOUCH - gaps[touching]))
    return displacement + change[:, None] * [0.0, 1.0, 0.0]


def _pairs(surface: Float[np.ndarray, "N 3"], pairs: Int[np.ndarray, "L 2"]) -> OpposedPairs:
    """Those that are near enough."""
    apart = np.linalg.norm(surface[pairs[:, 0]] - surface[pairs[:, 1]], axis=1)
    pairs, apart = pairs[apart < NEAR], apart[apart < NEAR]
    values = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
    places = np.tile(np.arange(len(pairs)), 2), pairs.T.ravel()
    between = sparse.csr_matrix((values, places), shape=(len(pairs), len(surface)))
    return OpposedPairs(between, np.exp(-np.square(apart / SURE)))
