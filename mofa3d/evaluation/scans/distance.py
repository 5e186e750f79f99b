"""The distance from a scan to a reconstructed face, after the best alignment: the measure of the NoW challenge.

The face is laid over the scan by the seven landmarks; then the scan-to-mesh distances themselves are minimised over
rotation, translation and, unless the size counts too, scale; and the distance of every vertex of the scan's face region
to the nearest point of the reconstructed surface is reported, in millimetres. Landmarks only say where the minimisation
starts. Where a scan has holes, nothing is measured; what it has of hair in the region counts.

Reference: Sanyal et al. 2019, "Learning to Regress 3D Face Shape and Expression from an Image without 3D Supervision",
Sec. 5, and the program of the challenge, github.com/soubhiksanyal/now_evaluation; its metrical variant is that of
Zielonka et al. 2022, "Towards Metrical Reconstruction of Human Faces". It minimises the same sum in another way.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from trimesh.remesh import subdivide_to_size

from mofa3d.errors import InputError
from mofa3d.evaluation.scans.scan import HEADS, FaceMesh, region
from mofa3d.models.alignment import Similarity, similarity
from mofa3d.models.nearest_surface import nearest_surface

ROUNDS, SETTLED = 50, 1e-3  # at most, and mm of movement below which no more are needed
SAMPLES = 4000  # of the scan's vertices that take part in the alignment
TOUCHING = 1e-6  # mm; closer points do not say in which direction they lie
EVEN, SPLITS = 2.0, 12  # mm, longest edge of the triangles among which the nearest is sought; times they are halved
RIGID, ANY = (1.0, 1.0), (0.0, np.inf)


def scan_distances(scan: FaceMesh, face: FaceMesh, rigid: bool = False) -> Float[np.ndarray, "K"]:
    """Distance of each vertex of the scan's region to a face (mm), see the module.

    Args:
        scan: its landmarks decide the region.
        face: a reconstruction; its landmarks are where the alignment starts.
        rigid: keep its size, so that a wrong one counts.

    Raises:
        InputError: hardly anything of the scan lies in the region, or the face is not in millimetres.
    """
    points = region(scan)
    start = similarity(face.landmarks, scan.landmarks, RIGID if rigid else ANY)
    longest = float(np.ptp(start(face.vertices), axis=0).max())
    if not longest <= HEADS[1]:
        raise InputError(f"the reconstruction is {longest:.4g} mm long, more than {HEADS[1]:.0f}; give millimetres")
    laid = align_surfaces(points, face, start, rigid)
    # The nearest point is sought in triangles with near centres, which needs triangles of about one size: of 18,000
    # points on a face of the default model, 22 were up to 1.3 mm off without this, 3 up to 0.1 mm with it.
    vertices, faces = subdivide_to_size(laid(face.vertices), face.faces, EVEN, max_iter=SPLITS)
    return nearest_surface(points, vertices, faces).distances


def align_surfaces(points: Float[np.ndarray, "K 3"], face: FaceMesh, start: Similarity, rigid: bool) -> Similarity:
    """Move a face so that the sum of squared distances (mm²) from points to its surface is least.

    Args:
        points: of a scan.
        face: to be moved.
        start: where to begin; the minimum is a local one.
        rigid: keep the scale of `start`.
    """
    points = points[:: max(1, len(points) // SAMPLES)]
    best, laid, least = start, start, np.inf
    for _ in range(ROUNDS):
        vertices = laid(face.vertices)
        found = nearest_surface(points, vertices, face.faces)
        energy = np.square(found.distances).sum()
        if energy >= least:
            break
        best, least = laid, energy
        closest = found.interpolate(vertices, face.faces)
        step = _step(points, closest, _directions(points, closest, vertices[face.faces[found.faces]]), rigid)
        laid = step.after(laid)
        if np.abs(step(closest) - closest).max() < SETTLED:
            break
    return best


def _directions(
    points: Float[np.ndarray, "K 3"], closest: Float[np.ndarray, "K 3"], triangles: Float[np.ndarray, "K 3 3"]
) -> Float[np.ndarray, "K 3"]:
    """Unit vectors from the closest points to the points: the gradients of the distances."""
    away = points - closest
    length = np.linalg.norm(away, axis=1, keepdims=True)
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return np.where(length > TOUCHING, away / np.maximum(length, TOUCHING), normal)


def _step(
    points: Float[np.ndarray, "K 3"],
    closest: Float[np.ndarray, "K 3"],
    directions: Float[np.ndarray, "K 3"],
    rigid: bool,
) -> Similarity:
    """One Gauss-Newton step: the small movement that lowers the distances along their gradients most."""
    middle = closest.mean(axis=0)
    arms = closest - middle
    columns = [np.cross(arms, directions), directions]
    if not rigid:
        columns.append((arms * directions).sum(axis=1, keepdims=True))
    distances = ((points - closest) * directions).sum(axis=1)
    change = np.linalg.lstsq(np.concatenate(columns, axis=1), distances, rcond=None)[0]
    rotation = Rotation.from_rotvec(change[:3]).as_matrix()
    scale = 1.0 if rigid else float(np.exp(change[6]))
    return Similarity(scale, rotation, middle + change[3:6] - scale * rotation @ middle)
