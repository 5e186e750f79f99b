"""What a source without reflectance, frontal region or landmarks takes over from the default model."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mofa3d.errors import InputError
from mofa3d.models.alignment import SCALES, align_by_shape
from mofa3d.models.nearest_surface import SurfacePoints, nearest_surface, vertex_normals
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

MESH_WIDTHS = (80.0, 700.0)  # mm, from a mask to a bust
MISFIT = 4.0  # mm, median distance of the default model's front that no face has, once it is laid over
FRONTAL_REACH = 12.0  # mm between a vertex and the default model's frontal region


def transfer_landmarks(
    vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], reference: MorphableModel
) -> LandmarkBarycentric:
    """The 68 points from shape alone, some millimetres off.

    On ICT-FaceKit they are 2.0 mm (brows to mouth) and 5.1 mm (jaw) away from its own points;
    `mofa3d.models.landmarks.fit_landmarks`, which looks at a picture, puts them 2.7 and 8 mm away.

    Raises:
        InputError: the shape is not a face in millimetres with the published axes.
    """
    width = float(np.ptp(vertices[:, 0]))
    if not MESH_WIDTHS[0] < width < MESH_WIDTHS[1]:
        raise _no_face(f"its mesh is {width:.3g} wide")
    mean, reference_faces = reference.mean_shape.double().numpy(), reference.faces.numpy()
    normals = vertex_normals(mean, reference_faces)
    front = reference.frontal.numpy()
    moved = align_by_shape(mean[front], normals[front], vertices, vertex_normals(vertices, faces))
    misfit = float(np.median(nearest_surface(moved(mean[front][::10]), vertices, faces).distances))
    if not (misfit < MISFIT and SCALES[0] < moved.scale < SCALES[1]):  # at a bound something else would fit better
        fit = f"{misfit:.3g} mm beside it at {moved.scale:.2g} times its size"
        raise _no_face(f"the default model does not fit its shape ({fit})")
    points = moved(reference.landmarks(reference.mean_shape[None])[0].double().numpy())
    at_points = normals[reference_faces[reference.landmark_faces.numpy()]].mean(axis=1) @ moved.rotation.T
    found = nearest_surface(points, vertices, faces, at_points)
    return LandmarkBarycentric(torch.from_numpy(found.faces), torch.from_numpy(found.weights).float())


def _no_face(problem: str) -> InputError:
    return InputError(
        f"the mean face does not follow the conventions of its format: {problem}; expected a face in millimetres "
        f"after conversion, +X to "
        "the subject's left, +Y up, +Z out of the face"
    )


def transfer_frontal(found: SurfacePoints, reference: MorphableModel) -> Bool[np.ndarray, "N"]:
    """Which vertices are on the default model's frontal region and look the same way as it."""
    share = found.interpolate(reference.frontal.numpy().astype(float), reference.faces.numpy())
    return (share >= 0.5) & (found.distances < FRONTAL_REACH) & (found.agreement > 0)


def transfer_reflectance(
    found: SurfacePoints, reference: MorphableModel
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3 R"]]:
    """Mean and basis of the default model's reflectance at the corresponding points, display RGB."""
    faces = reference.faces.numpy()
    mean = found.interpolate(reference.mean_reflectance.numpy(), faces)
    return mean, found.interpolate(reference.reflectance_basis.numpy(), faces)
