"""Write mofa3d/models/makehuman/ibug68.json: where annotators see the 68 iBUG points on MakeHuman's base mesh.

    python experiments/place_landmarks.py --out mofa3d/models/makehuman/ibug68.json --force

The map of `mofa3d.data.landmarks_478`, which was fitted to annotated photographs, makes the 68 points of MediaPipe's
478, whose places on the mesh are known (`experiments/fit_dense_landmarks.py`). Here it is applied to these, and what it
gives is laid on the surface of the average head.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.landmarks_478 import landmark_map
from mofa3d.files.folders import refuse_existing
from mofa3d.models.makehuman.build import make_head
from mofa3d.models.makehuman.dense import read_points, write_points
from mofa3d.models.makehuman.source import data_directory
from mofa3d.models.makehuman.subdivision import spread as spread_columns
from mofa3d.models.nearest_surface import nearest_surface, vertex_normals

UPPER_LIP, LOWER_LIP = (61, 62, 63), (65, 66, 67)  # iBUG points on the edges that meet
MIDDLE = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)
# Of a mm of depth against a mm as seen from the front. Along the contour the skin is seen edge-on, so that depth counts
# in full there: 2 mm lower, a point of the chin would lie 2 cm farther back.
DEPTH_WEIGHT, CONTOUR_WEIGHT = 0.1, 1.0
FACING = 0.05  # least z of the normals of skin that is seen


@dataclass(frozen=True)
class Config:
    out: Path
    """The JSON file to write."""
    force: Flag = False
    """Replace the file if it is there."""


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    cage, identity, mesh, _ = make_head(data_directory())
    mean = identity.mean
    points = landmark_map()[0] @ (read_points(cage.base_count)[:, cage.kept] @ mean)
    vertices = mesh.refine @ mean
    normals = vertex_normals(vertices, mesh.triangles)
    skin = ~(mesh.eyes | mesh.mouth) & (normals[:, 2] > FACING)
    others = np.setdiff1d(np.arange(17, 68), [*UPPER_LIP, *LOWER_LIP])
    order, rows = [], []
    for wanted, allowed, depth in (
        (np.arange(17), skin, CONTOUR_WEIGHT),
        (others, skin, DEPTH_WEIGHT),
        (np.array(UPPER_LIP), skin & (normals[:, 1] < 0), DEPTH_WEIGHT),
        (np.array(LOWER_LIP), skin & (normals[:, 1] > 0), DEPTH_WEIGHT),
    ):
        scale = np.array([1, 1, depth])
        candidates = mesh.triangles[allowed[mesh.triangles].all(axis=1)]
        found = nearest_surface(points[wanted] * scale, vertices * scale, candidates)
        corners = candidates[found.faces]
        order.append(wanted)
        rows.append(sum(mesh.refine[corners[:, k]].multiply(found.weights[:, [k]]) for k in range(3)))
        print(f"distance from the surface: {found.distances.mean():.2f} mm, at most {found.distances.max():.2f}")
    ordered = sparse.vstack(rows).tocsr()[np.argsort(np.concatenate(order))]
    # The points on the subject's right, those on the left as their mirror images, and averages of both in the middle.
    _, mirror = cKDTree(cage.vertices).query(cage.vertices * [-1, 1, 1])
    keep = np.where(np.isin(np.arange(68), MIDDLE), 0.5, np.where(points[:, 0] < 0, 1.0, 0.0))
    both = sparse.diags(keep) @ ordered + sparse.diags(1 - keep) @ ordered[list(MIRRORED_68)][:, mirror]
    on_base = spread_columns(both.tocsr(), cage.kept, cage.base_count)
    write_points(on_base, config.out, "The 68 iBUG points as annotators see them, by experiments/place_landmarks.py")
    print(config.out)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
