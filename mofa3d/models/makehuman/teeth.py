"""Teeth and tongue of the default model: they follow the head's modes, and change nothing of the head.

They come after all vertices and triangles of the head, so that these keep their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float, Int

from mofa3d.models.makehuman.subdivision import catmull_clark, spread, to_triangles

UPPER, LOWER, TONGUE = "helper-upper-teeth", "helper-lower-teeth", "helper-tongue"
IVORY = (0.80, 0.74, 0.66)  # display RGB at the front
FLESH = (0.62, 0.34, 0.33)  # of the tongue's tip
# Of these, farther back, and mm behind the front over which they grow dark: the light model knows no shadows, and the
# mouth throws one.
DARKEST, DARKENING = 0.22, {"teeth": 26.0, "tongue": 22.0}
# dm that the upper ones are moved down: MakeHuman's end where the lips meet, and would not be seen in a smile whose
# lower lip goes down more than its upper one goes up, as encoders see it.
LONGER = 0.055
# MakeHuman's arch is so wide and flat that its sides stand in the corners of the mouth and come through stretched lips;
# farther from the lips it would end abruptly, seen from the side.
NARROWER, ROUNDER = 0.96, 0.6  # of its width; dm that it is farther back per square dm beside the middle
TIP, TAPERING = 0.16, 0.4  # dm of the tongue that taper, for MakeHuman's ends in a square, and how much they do


@dataclass(frozen=True)
class Teeth:
    """Teeth and tongue as triangles.

    Attributes:
        refine: (T, V) from the cage's vertices to the triangles'.
        triangles: (F, 3).
        tongue: (T,) which vertices are the tongue's.
        upper: (V,) which of the cage's vertices belong to the upper jaw.
        soft: (V,) which to the tongue.
    """

    refine: sparse.csr_matrix
    triangles: Int[np.ndarray, "F 3"]
    tongue: Bool[np.ndarray, "T"]
    upper: Bool[np.ndarray, "V"]
    soft: Bool[np.ndarray, "V"]

    def positions(self, mean: Float[np.ndarray, "V 3"], scale: float) -> Float[np.ndarray, "T 3"]:
        """Where they are on the average head, mm; `scale` is mm per decimetre of MakeHuman."""
        moved = mean - LONGER * scale * self.upper[:, None] * [0.0, 1.0, 0.0]
        moved[:, 2] -= ROUNDER / scale * np.square(moved[:, 0]) * ~self.soft
        moved[:, 0] *= np.where(self.soft, 1.0, NARROWER)
        tongue = moved[self.soft]
        tip = np.clip((tongue[:, 2] - tongue[:, 2].max()) / (TIP * scale) + 1, 0, 1)[:, None] ** 2
        middle = np.average(tongue, axis=0, weights=tip[:, 0]) * [0, 1, 0]
        moved[self.soft] = tongue - TAPERING * tip * (tongue - middle) * [1, 1, 0]
        return self.refine @ moved


def make_teeth(
    quads: Int[np.ndarray, "P 4"], upper: Bool[np.ndarray, "P"], tongue: Bool[np.ndarray, "P"], count: int
) -> Teeth:
    """Split teeth and tongue into triangles; smoothing as coarse a mesh as the teeth's would make them shorter by a
    third.

    Args:
        quads: indices into the cage's vertices.
        upper: which belong to the upper jaw.
        tongue: which are the tongue.
        count: of the cage's vertices.
    """
    hard, soft = (np.unique(quads[part]) for part in (~tongue, tongue))
    split, triangles = to_triangles(len(hard), np.searchsorted(hard, quads[~tongue]))
    smooth, _ = catmull_clark(len(soft), np.searchsorted(soft, quads[tongue]))
    # Its first rows are the old vertices where the smooth surface has them.
    tongue_split, tongue_triangles = to_triangles(len(soft), np.searchsorted(soft, quads[tongue]))
    tongue_refine = (tongue_split @ smooth[: len(soft)]).tocsr()
    refine = sparse.vstack([spread(split, hard, count), spread(tongue_refine, soft, count)]).tocsr()
    return Teeth(
        refine=refine,
        triangles=np.concatenate([triangles, tongue_triangles + split.shape[0]]),
        tongue=np.arange(refine.shape[0]) >= split.shape[0],
        upper=np.isin(np.arange(count), quads[upper]),
        soft=np.isin(np.arange(count), soft),
    )


def reflectance(positions: Float[np.ndarray, "T 3"], tongue: Bool[np.ndarray, "T"]) -> Float[np.ndarray, "T 3"]:
    """Ivory and flesh at the front, darker farther back in the mouth."""
    shade = np.zeros(len(positions))
    for part, depth in ((~tongue, DARKENING["teeth"]), (tongue, DARKENING["tongue"])):
        behind = positions[part, 2].max() - positions[part, 2]
        shade[part] = DARKEST + (1 - DARKEST) * np.exp(-np.square(behind / depth))
    return np.where(tongue[:, None], FLESH, IVORY) * shade[:, None]
