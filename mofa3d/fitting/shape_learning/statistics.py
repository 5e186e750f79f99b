"""From a registered population to the statistics of MakeHuman's targets and of the remainder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float

from mofa3d.fitting.shape_learning.population import Population
from mofa3d.fitting.shape_learning.regions import Regions
from mofa3d.fitting.shape_learning.registration import LOPSIDED, RIDGE, find_pairs
from mofa3d.fitting.shape_learning.skin import Skin
from mofa3d.fitting.shape_learning.touching import OpposedPairs, touching_pairs
from mofa3d.fitting.shape_learning.untangling import untangled

SKULL_WEIGHT, NECK_WEIGHT = 0.15, 0.02  # of variances when columns are chosen; 1 in the face
TOUCHING, SAME_SIDE = 1.5, 0.7  # mm and cosine within which a vertex of the skin is one of the population's
ACROSS = 0.2  # weight of distances across the normal when targets are chosen
SMOOTH = 0.03  # price of the remainder's roughness
FIRM = 10.0  # price of moving apart, or into each other, for what lies on each other
TINY = 1e-7


class Movements(NamedTuple):
    """How the skin moves with the population, at the vertices of its surface.

    Attributes:
        columns: (N, 3, P) mm per standard deviation, without what a similarity does to the face.
        normals: (N, 3) of the population's mean.
        known: (N,) where the population has skin.
    """

    columns: Float[np.ndarray, "N 3 P"]
    normals: Float[np.ndarray, "N 3"]
    known: Bool[np.ndarray, "N"]


class Statistics(NamedTuple):
    """What the population says.

    Attributes:
        weights: (T, K) of the targets per standard deviation of a column.
        displacement: (S, 3, K) mm of the cage, beyond them.
        turn: (P, K) orthonormal: the population's coefficients of each column.
    """

    weights: Float[np.ndarray, "T K"]
    displacement: Float[np.ndarray, "S 3 K"]
    turn: Float[np.ndarray, "P K"]


def follow_population(
    skin: Skin, surface: Float[np.ndarray, "N 3"], population: Population, regions: Regions
) -> Movements:
    """The population's columns on the skin, which has been laid on the mean.

    The similarity of least squares on the face is taken out of each: size and pose are the camera's, not the code's.
    """
    pairs = find_pairs(surface, skin, population)
    known = (pairs.found.distances < TOUCHING) & (pairs.agreement > SAME_SIDE)
    flat = population.columns.reshape(len(population.mean), -1)
    columns = pairs.found.interpolate(flat, population.faces).reshape(*surface.shape, -1)
    weights = skin.areas(surface) * (regions.face & known)
    return Movements(without_similarity(columns, surface, weights), pairs.normals, known)


def without_similarity(
    columns: Float[np.ndarray, "N 3 P"], surface: Float[np.ndarray, "N 3"], weights: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N 3 P"]:
    """Columns without the small rotation, translation and scale that come nearest to each under the weights."""
    arms = surface - np.average(surface, axis=0, weights=weights)
    turns = np.stack([np.cross(axis, arms) for axis in np.eye(3)], axis=-1)
    shifts = np.broadcast_to(np.eye(3), (len(arms), 3, 3))
    basis = np.concatenate([turns, shifts, arms[..., None]], axis=2)
    root = np.sqrt(weights)[:, None, None]
    found = np.linalg.lstsq((basis * root).reshape(-1, 7), (columns * root).reshape(-1, columns.shape[2]), rcond=None)
    return columns - basis @ found[0]


def principal_turn(
    columns: Float[np.ndarray, "N 3 P"], weights: Float[np.ndarray, "N"], count: int
) -> Float[np.ndarray, "P K"]:
    """The orthonormal combinations of N(0, 1) columns that are N(0, 1) too and have most of the variance, in order.

    The vertex that moves farthest moves to the positive side of its main axis, so that signs are the same everywhere.
    """
    flat = (columns * np.sqrt(weights)[:, None, None]).reshape(-1, columns.shape[2])
    _, vectors = np.linalg.eigh(flat.T @ flat)
    turn = vectors[:, ::-1][:, :count]
    moved = flat @ turn
    return turn * np.sign(moved[np.abs(moved).argmax(axis=0), np.arange(moved.shape[1])])


def learn_statistics(
    skin: Skin, cage: Float[np.ndarray, "S 3"], movements: Movements, regions: Regions, count: int
) -> Statistics:
    """Weights of targets, and what they do not reach, for the strongest columns.

    Args:
        skin: what the columns move.
        cage: mm, the average head.
        movements: of the population.
        regions: of the surface.
        count: of columns.
    """
    surface = skin.on_surface(cage)
    areas = skin.areas(surface)
    importance = np.select([regions.face, regions.neck], [1.0, NECK_WEIGHT], SKULL_WEIGHT)
    turn = principal_turn(movements.columns, areas * movements.known * importance, count)
    columns = movements.columns @ turn
    weights = target_weights(skin, columns, movements, areas * movements.known * np.where(regions.neck, 0.1, 1.0))
    by_targets = skin.surface_targets @ weights
    touching = touching_pairs(skin, surface, regions.ears)
    displacement = smooth_displacement(skin, columns, by_targets, areas * movements.known, touching)
    of_targets = np.tensordot(skin.targets, weights, axes=(0, 0))
    displacement = untangled(skin, cage, of_targets + displacement) - of_targets
    return Statistics(weights, displacement, turn)


def target_weights(
    skin: Skin, columns: Float[np.ndarray, "N 3 K"], movements: Movements, vertex_weights: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "T K"]:
    """The weights with which the targets come nearest to columns, mostly along the normal."""
    root = np.sqrt(vertex_weights)
    rows = np.einsum("nct,nc->nt", skin.surface_targets, movements.normals * root[:, None])
    aims = np.einsum("nck,nc->nk", columns, movements.normals * root[:, None])
    every = (skin.surface_targets * (root * ACROSS**0.5)[:, None, None]).reshape(-1, rows.shape[1])
    whole = (columns * (root * ACROSS**0.5)[:, None, None]).reshape(-1, columns.shape[2])
    ridge = RIDGE * len(columns) / 1000 * np.where(skin.asymmetric, LOPSIDED, 1.0)
    return np.linalg.solve(rows.T @ rows + every.T @ every + np.diag(ridge), rows.T @ aims + every.T @ whole)


def smooth_displacement(
    skin: Skin,
    columns: Float[np.ndarray, "N 3 K"],
    by_targets: Float[np.ndarray, "N 3 K"],
    weights: Float[np.ndarray, "N"],
    touching: OpposedPairs,
) -> Float[np.ndarray, "S 3 K"]:
    """The smooth displacement of the cage that adds to the targets' what the columns have beyond it.

    It continues where the weights are 0, and moves what lies on each other alike.
    """
    count, refine = len(skin.vertices), skin.refine
    firm = sparse.diags(FIRM * touching.hold)
    welded = touching.between @ refine
    matrix = refine.T @ sparse.diags(weights) @ refine + welded.T @ firm @ welded + SMOOTH * skin.roughness
    flat = by_targets.reshape(len(by_targets), -1)
    aims = refine.T @ (weights[:, None] * (columns.reshape(flat.shape) - flat)) - welded.T @ (
        firm @ (touching.between @ flat)
    )
    solved = scipy.sparse.linalg.splu((matrix + TINY * sparse.identity(count)).tocsc()).solve(aims)
    return solved.reshape(count, 3, -1)
