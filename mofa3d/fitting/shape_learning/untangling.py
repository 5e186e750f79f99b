"""Columns under which no head passes through itself.

A movement that is a smooth function of the place moves what lies together alike, whichever sheet of the skin it belongs
to, so that nothing crosses that does not cross in the average. Where heads of random codes do cross, the columns are
therefore averaged over the surroundings, again and again until none does.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from mofa3d.fitting.shape_learning.skin import Skin
from mofa3d.models.self_intersections import crossing_triangles

ROUNDS, TRIED, FAR = 12, 100, 1.3  # at most; random heads in each, and their deviation
WITHIN, BEYOND = 3.0, 9.0  # mm from a crossing up to which columns are averaged, and from which they are left
AROUND = 3.0  # mm, standard deviation of the surroundings


def untangled(
    skin: Skin, cage: Float[np.ndarray, "S 3"], columns: Float[np.ndarray, "S 3 K"], tried: int = TRIED
) -> Float[np.ndarray, "S 3 K"]:
    """Columns of the cage that differ where heads of random codes cross.

    Args:
        skin: what refines them.
        cage: mm, the average head, which does not cross.
        columns: mm per standard deviation.
        tried: random heads in each round.
    """
    surface, random = skin.on_surface(cage), np.random.default_rng(0)
    apart = np.square(cage[:, None] - cage).sum(axis=2)
    average = np.exp(-apart / (2 * AROUND**2))
    average /= average.sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        codes = FAR * random.normal(size=(tried, columns.shape[2]))
        tangled = tangled_vertices(skin, surface, skin.on_surface(columns), codes)
        if not len(tangled):
            break
        share = np.clip((BEYOND - cKDTree(surface[tangled]).query(cage)[0]) / (BEYOND - WITHIN), 0, 1)
        share = share**2 * (3 - 2 * share)
        columns = columns + share[:, None, None] * (np.einsum("st,tck->sck", average, columns, optimize=True) - columns)
    return columns


def tangled_vertices(
    skin: Skin,
    surface: Float[np.ndarray, "N 3"],
    columns: Float[np.ndarray, "N 3 K"],
    codes: Float[np.ndarray, "M K"],
) -> Int[np.ndarray, "C"]:
    """Vertices of triangles that pass through others in some of the heads of codes."""
    found = [crossing_triangles(surface + columns @ code, skin.triangles).ravel() for code in codes]
    return np.unique(skin.triangles[np.concatenate(found)])
