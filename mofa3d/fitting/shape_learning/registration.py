"""Lay MakeHuman's skin over the mean of a population: targets first, then a smooth displacement of the cage.

Both are iterated with new closest points (Amberg et al. 2007, "Optimal Step Nonrigid ICP Algorithms for Surface
Registration"); distances count along the normal, so that the surface may slide, and those that are large count less.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Float

from mofa3d.fitting.shape_learning.population import Population
from mofa3d.fitting.shape_learning.skin import Skin
from mofa3d.fitting.shape_learning.touching import closed
from mofa3d.models.nearest_surface import SurfacePoints, nearest_surface, vertex_normals

RIDGE = 3.0  # mm² per thousand vertices for a target at full strength
LOPSIDED = 10.0  # times that for asymmetric ones
EARLY, EARLY_RIDGE = 6, 10.0  # rounds in which targets cost more
NARROW, ROUNDS = 10, 20  # rounds after which only what is near counts; all rounds
REACH = (25.0, 10.0)  # mm within which a pair counts, before and after that
DOUBT = (5.0, 2.0)  # mm at which a pair counts half
SAME_SIDE = 0.6  # least cosine between the normals of a pair
OF_LANDMARKS = 3.0  # weight of one mm² of a landmark, in five-hundredths of all vertices
FEATURES = slice(27, 68)  # nose, eyes and mouth: points of the surface, where brows and jaw are lines along it
SMOOTH = (30.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.3)  # price of roughness in each round of the displacement
NEAR = (6.0, 6.0, 5.0, 4.0, 3.0, 3.0, 3.0)  # mm within which a pair counts
SLIDING = 0.02  # weight of distances across the normal
HALF = 1.5  # mm at which a pair counts half
TINY = 1e-6


class Registration(NamedTuple):
    """How the skin comes to lie on a population's mean.

    Attributes:
        weights: (T,) of the targets.
        displacement: (S, 3) mm of the cage, beyond them.
    """

    weights: Float[np.ndarray, "T"]
    displacement: Float[np.ndarray, "S 3"]


class Pairs(NamedTuple):
    """Closest points of the population's mean.

    Attributes:
        found: where they lie.
        points: (N, 3) mm.
        normals: (N, 3) of the mean there.
        agreement: (N,) cosine between these and the skin's.
    """

    found: SurfacePoints
    points: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"]
    agreement: Float[np.ndarray, "N"]


def find_pairs(surface: Float[np.ndarray, "N 3"], skin: Skin, population: Population) -> Pairs:
    """The closest point of the population's mean for each vertex of the skin's surface."""
    sides = vertex_normals(surface, skin.triangles)
    found = nearest_surface(surface, population.mean, population.faces, sides)
    normals = found.interpolate(vertex_normals(population.mean, population.faces), population.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), TINY)
    agreement = (sides * normals).sum(axis=1)
    return Pairs(found, found.interpolate(population.mean, population.faces), normals, agreement)


def register(skin: Skin, population: Population) -> Registration:
    """Lay the skin over the mean, which must lie near it already."""
    weights = fit_targets(skin, population)
    displacement = fit_displacement(skin, population, weights)
    surface = skin.on_surface(skin.moved(weights) + displacement)
    return Registration(weights, closed(skin, surface, displacement))


def fit_targets(skin: Skin, population: Population) -> Float[np.ndarray, "T"]:
    """The weights of the targets that bring the skin nearest to the mean."""
    start, targets = skin.on_surface(skin.vertices), skin.surface_targets
    at_points = skin.landmarks(np.moveaxis(skin.targets, 0, -1))
    count, number = len(start), targets.shape[2]
    ridge = RIDGE * count / 1000 * np.where(skin.asymmetric, LOPSIDED, 1.0)
    weights = np.zeros(number)
    for turn in range(ROUNDS):
        late = int(turn >= NARROW)
        surface = start + targets @ weights
        pairs = find_pairs(surface, skin, population)
        away = ((pairs.points - surface) * pairs.normals).sum(axis=1)
        root = np.sqrt(
            (pairs.found.distances < REACH[late]) * (pairs.agreement > SAME_SIDE) / (1 + np.square(away / DOUBT[late]))
        )
        of_points = np.sqrt(OF_LANDMARKS * count / 500)
        offset = population.landmarks - skin.landmarks(skin.moved(weights))
        rows = np.einsum("nct,nc->nt", targets, pairs.normals * root[:, None])
        features = of_points * at_points[FEATURES].reshape(-1, number)
        price = ridge * (EARLY_RIDGE if turn < EARLY else 1.0)
        right = rows.T @ (away * root) + features.T @ (of_points * offset[FEATURES].ravel()) - price * weights
        weights = weights + np.linalg.solve(rows.T @ rows + features.T @ features + np.diag(price), right)
    return weights


def fit_displacement(skin: Skin, population: Population, weights: Float[np.ndarray, "T"]) -> Float[np.ndarray, "S 3"]:
    """The smooth displacement (mm) of the cage that brings the skin from where the targets leave it onto the mean."""
    start = skin.on_surface(skin.moved(weights))
    areas, refine = skin.areas(start), skin.refine
    displacement = np.zeros_like(skin.vertices)
    for price, near in zip(SMOOTH, NEAR, strict=True):
        pairs = find_pairs(start + skin.on_surface(displacement), skin, population)
        counted = (pairs.found.distances < near) & (pairs.agreement > SAME_SIDE)
        weight = counted * areas / (1 + np.square(pairs.found.distances / HALF))
        away = pairs.points - start
        metric = pairs.normals[:, :, None] * pairs.normals[:, None] + SLIDING * np.eye(3)
        held = price * skin.roughness + TINY * sparse.identity(len(displacement))
        blocks = [
            [
                refine.T @ sparse.diags(weight * metric[:, i, j]) @ refine + (held if i == j else 0 * held)
                for j in range(3)
            ]
            for i in range(3)
        ]
        aim = refine.T @ (weight[:, None] * np.einsum("nij,nj->ni", metric, away))
        solved = scipy.sparse.linalg.spsolve(sparse.bmat(blocks).tocsc(), aim.T.ravel())
        displacement = solved.reshape(3, -1).T
    return displacement
