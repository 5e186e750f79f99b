"""What a source without reflectance, frontal region or landmarks takes over from the default model."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mofa3d.models.alignment import align_by_shape
from mofa3d.models.nearest_surface import SurfacePoints, nearest_surface, vertex_normals
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

FRONTAL_REACH = 12.0  # mm between a vertex and the default model's frontal region


def transfer_landmarks(
    vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], reference: MorphableModel
) -> LandmarkBarycentric:
    """A first guess of the 68 points from shape alone, some millimetres off; `landmarks.fit_landmarks` betters it."""
    mean, reference_faces = reference.mean_shape.double().numpy(), reference.faces.numpy()
    normals = vertex_normals(mean, reference_faces)
    front = reference.frontal.numpy()
    moved = align_by_shape(mean[front], normals[front], vertices, vertex_normals(vertices, faces))
    points = moved(reference.landmarks(reference.mean_shape[None])[0].double().numpy())
    at_points = normals[reference_faces[reference.landmark_faces.numpy()]].mean(axis=1) @ moved.rotation.T
    found = nearest_surface(points, vertices, faces, at_points)
    return LandmarkBarycentric(torch.from_numpy(found.faces), torch.from_numpy(found.weights).float())


def transfer_frontal(found: SurfacePoints, reference: MorphableModel) -> Bool[np.ndarray, "N"]:
    """Which vertices lie on the default model's frontal region and look the same way as it."""
    share = found.interpolate(reference.frontal.numpy().astype(float), reference.faces.numpy())
    return (share >= 0.5) & (found.distances < FRONTAL_REACH) & (found.agreement > 0)


def transfer_reflectance(
    found: SurfacePoints, reference: MorphableModel
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3 R"]]:
    """Mean and basis of the default model's reflectance at the corresponding points, display RGB."""
    faces = reference.faces.numpy()
    mean = found.interpolate(reference.mean_reflectance.numpy(), faces)
    return mean, found.interpolate(reference.reflectance_basis.numpy(), faces)
