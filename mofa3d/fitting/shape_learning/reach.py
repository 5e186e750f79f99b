"""How near the targets alone, and with the remainder, come to the population they were fitted to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mofa3d.fitting.shape_learning.population import Population
from mofa3d.fitting.shape_learning.regions import Regions
from mofa3d.fitting.shape_learning.registration import find_pairs
from mofa3d.fitting.shape_learning.skin import Skin
from mofa3d.fitting.shape_learning.statistics import Movements


class Reach(NamedTuple):
    """What is left, by region.

    Attributes:
        average: median and 95th percentile (mm) of the distances from the skin to the population's mean.
        people: root mean square, median and 95th percentile over the vertices (mm) of how far a random person's skin,
            along its normal, is from the nearest one of the model.
        explained: share of the variance of the positions that is reached.
    """

    average: dict[str, tuple[float, float]]
    people: dict[str, tuple[float, float, float]]
    explained: dict[str, float]


def measure_reach(
    skin: Skin,
    population: Population,
    surface: Float[np.ndarray, "N 3"],
    movements: Movements,
    reached: Float[np.ndarray, "N 3 P"],
    regions: Regions,
) -> Reach:
    """Compare a model with the population.

    Args:
        skin: the surface's triangles.
        population: in its place.
        surface: mm, the model's average.
        movements: of the population.
        reached: what the model makes of these.
        regions: of the surface.
    """
    distances, areas = find_pairs(surface, skin, population).found.distances, skin.areas(surface)
    left = movements.columns - reached
    along = np.sqrt(np.square(np.einsum("ncp,nc->np", left, movements.normals)).sum(axis=1))
    missed, had = np.square(left).sum(axis=(1, 2)), np.square(movements.columns).sum(axis=(1, 2))
    average, people, explained = {}, {}, {}
    for name, chosen in regions._asdict().items():
        there = chosen & movements.known
        if there.any():
            weights = areas[there]
            root = float(np.sqrt(np.average(np.square(along[there]), weights=weights)))
            average[name] = _percentiles(distances[there])
            people[name] = (root, *_percentiles(along[there]))
            explained[name] = 1 - float(weights @ missed[there] / max(weights @ had[there], 1e-12))
    return Reach(average, people, explained)


def _percentiles(values: Float[np.ndarray, "K"]) -> tuple[float, float]:
    middle, high = np.percentile(values, [50, 95])
    return float(middle), float(high)
