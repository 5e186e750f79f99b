"""Teeth of the default model: they follow the head's modes, and change nothing of the head.

They come after all vertices and triangles of the head, so that these keep their numbers, and take no part when modes
are chosen, so that what was trained for the head without teeth holds for it with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float, Int

from mofa3d.models.makehuman.subdivision import spread, to_triangles

UPPER, LOWER = "helper-upper-teeth", "helper-lower-teeth"
IVORY = (0.80, 0.74, 0.66)  # display RGB at the front
DARKEST = 0.35  # of that, at the back: the light model knows no shadows, and the mouth throws one
# dm that the upper ones are moved down: MakeHuman's end where the lips meet, and would not be seen in a smile whose
# lower lip goes down more than its upper one goes up, as encoders see it.
LONGER = 0.055


@dataclass(frozen=True)
class Teeth:
    """The teeth as triangles.

    Attributes:
        refine: (T, V) from the cage's vertices to the triangles'.
        triangles: (F, 3).
        upper: (V,) which of the cage's vertices belong to the upper jaw.
    """

    refine: sparse.csr_matrix
    triangles: Int[np.ndarray, "F 3"]
    upper: Bool[np.ndarray, "V"]

    def positions(self, mean: Float[np.ndarray, "V 3"], scale: float) -> Float[np.ndarray, "T 3"]:
        """Where they are on the average head, mm; `scale` is mm per decimetre of MakeHuman."""
        return self.refine @ (mean - LONGER * scale * self.upper[:, None] * [0.0, 1.0, 0.0])


def make_teeth(quads: Int[np.ndarray, "P 4"], upper: Bool[np.ndarray, "P"], count: int) -> Teeth:
    """Split the teeth into triangles; smoothing so coarse a mesh would make them shorter by a third.

    Args:
        quads: of the teeth, indices into the cage's vertices.
        upper: which belong to the upper jaw.
        count: of the cage's vertices.
    """
    used = np.unique(quads)
    refine, triangles = to_triangles(len(used), np.searchsorted(used, quads))
    return Teeth(spread(refine, used, count), triangles, np.isin(np.arange(count), quads[upper]))


def follow(
    samples: Float[np.ndarray, "M U 3"],
    modes: Float[np.ndarray, "U 3 K"],
    weights: Float[np.ndarray, "U"],
    others: Float[np.ndarray, "M X 3"],
) -> Float[np.ndarray, "X 3 K"]:
    """How other vertices move with modes that were found without them, by least squares over the samples.

    Args:
        samples: deviations from which the modes were made.
        modes: of those vertices.
        weights: with which they were made.
        others: deviations of the others in the same samples.
    """
    weighted = (modes * weights[:, None, None]).reshape(-1, modes.shape[2])
    coordinates = (samples * weights[:, None]).reshape(len(samples), -1) @ weighted / np.square(weighted).sum(axis=0)
    found, *_ = np.linalg.lstsq(coordinates, others.reshape(len(samples), -1), rcond=None)
    return np.moveaxis(found.reshape(-1, others.shape[1], 3), 0, -1)


def reflectance(positions: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    """Ivory at the front, darker farther back in the mouth."""
    depth = positions[:, 2]
    front = (depth - depth.min()) / np.ptp(depth)
    return np.array(IVORY) * (DARKEST + (1 - DARKEST) * front[:, None])
