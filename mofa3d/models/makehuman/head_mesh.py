"""From the cage to the triangles of the model, as one sparse matrix: refined, and cut below the neck."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float, Int

from mofa3d.models.makehuman.cage import EYES, MOUTH, SKIN, Cage
from mofa3d.models.makehuman.clipping import clip
from mofa3d.models.makehuman.subdivision import catmull_clark, spread, to_triangles

THROAT = 52.0  # mm from the chin down to the cut, straight below it
RISE = 0.1  # of the cut, to the nape, which is shorter than the throat
MARGIN = 15.0  # mm below the cut that are kept until the refined mesh is cut


class HeadMesh(NamedTuple):
    """Skin, eyeballs and mouth.

    Attributes:
        refine: (N, V) from the cage's vertices to the mesh's.
        triangles: (F, 3) counter-clockwise seen from outside.
        eyes: (N,) the eyeballs.
        mouth: (N,) the inside of the mouth, without its edge on the lips.
        uv: (N, 2) texture coordinates.
    """

    refine: sparse.csr_matrix
    triangles: Int[np.ndarray, "F 3"]
    eyes: Bool[np.ndarray, "N"]
    mouth: Bool[np.ndarray, "N"]
    uv: Float[np.ndarray, "N 2"]


def make_head_mesh(cage: Cage, mean: Float[np.ndarray, "V 3"]) -> HeadMesh:
    """Refine the cage.

    Args:
        cage: its quads.
        mean: mm, the average head, on which it is cut.
    """
    chin = cage.landmarks(mean)[8]
    skin = cage.of(*SKIN)
    stays = ~skin | (_above_cut(mean[cage.quads].mean(axis=1), chin) > -MARGIN)
    quads, parts = cage.quads[stays], cage.parts[stays]
    used = np.unique(quads)
    quads = np.searchsorted(used, quads)
    refine, fine_quads = catmull_clark(len(used), quads)
    split, triangles = to_triangles(refine.shape[0], fine_quads)
    refine = (split @ refine).tocsr()
    fine_parts = np.tile(parts, 16)  # each step numbers the first children of all quads before the second
    # Cut once more after the refinement: along whole quads the border would be ragged.
    skin = np.isin(fine_parts, SKIN)
    cut, skin_triangles, origin = clip(_above_cut(refine @ mean[used], chin), triangles[skin])
    refine = (cut @ refine).tocsr()
    triangles = np.concatenate([skin_triangles, triangles[~skin]])
    fine_parts = np.concatenate([fine_parts[skin][origin], fine_parts[~skin]])
    fine_used = np.unique(triangles)
    refine, triangles = refine[fine_used], np.searchsorted(fine_used, triangles)
    mouth = touched(triangles, fine_parts == MOUTH) & ~touched(triangles, np.isin(fine_parts, SKIN))
    return HeadMesh(
        refine=spread(refine, used, len(cage.vertices)),
        triangles=triangles,
        eyes=touched(triangles, np.isin(fine_parts, EYES)),
        mouth=mouth,
        uv=texture_coordinates(cage.texture, quads, cage.texture_quads[stays], refine),
    )


def touched(triangles: Int[np.ndarray, "F 3"], chosen: Bool[np.ndarray, "F"]) -> Bool[np.ndarray, "N"]:
    """Which vertices belong to the chosen triangles."""
    result = np.zeros(triangles.max() + 1, dtype=bool)
    result[triangles[chosen].ravel()] = True
    return result


def texture_coordinates(
    texture: Float[np.ndarray, "T 2"],
    quads: Int[np.ndarray, "Q 4"],
    texture_quads: Int[np.ndarray, "Q 4"],
    refine: sparse.csr_matrix,
) -> Float[np.ndarray, "N 2"]:
    """Texture coordinates refined with the mesh; a vertex on a seam takes one of its two."""
    coarse = np.zeros((refine.shape[1], 2))
    coarse[quads.ravel()] = texture[texture_quads.ravel()]
    return refine @ coarse


def _above_cut(points: Float[np.ndarray, "K 3"], chin: Float[np.ndarray, "3"]) -> Float[np.ndarray, "K"]:
    """How far (mm) points lie above the cut; negative below it."""
    return points[:, 1] - (chin[1] - THROAT + RISE * (chin[2] - points[:, 2]))
