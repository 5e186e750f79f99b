"""Put points of a picture back on a face's surface about as deep as they are on an average face.

A picture says little about depth: the contour of a jaw is seen edge-on, so that a pixel beside it may be centimetres
behind, and between open lips the back of the head is seen.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.camera import Camera
from mofa3d.models.nearest_surface import nearest_surface, vertex_normals
from mofa3d.morphable_model import LANDMARK_COUNT, LandmarkBarycentric, MorphableModel

DEPTH_WEIGHT = 0.4  # of a mm of depth against a mm in the picture
FACING = 0.3  # least z of the normals of the skin around the nose
NOSE = list(range(27, 36))


def attach(
    model: MorphableModel, points: Float[np.ndarray, "68 2"], camera: Camera, layout: Float[np.ndarray, "68 3"]
) -> LandmarkBarycentric:
    """The points of the mean face's surface that are near to pixels and about as deep as those of an average face.

    Args:
        model: in model space; its own landmarks play no part.
        points: pixels of a frontal view at rest.
        camera: what sees it.
        layout: the points of an average face, mm, in the axes of model space; where its origin lies does not matter.
    """
    faces, positions = model.faces.numpy(), model.mean_shape.double()
    scale = camera.rest_distance / camera.focal  # mm in the plane of rest per pixel
    surface, wanted = scale * camera.project(positions).numpy(), scale * points
    depth = positions[:, 2].numpy()
    facing = np.flatnonzero(vertex_normals(positions.numpy(), faces)[:, 2] > FACING)
    near_nose = np.linalg.norm(wanted[NOSE][:, None] - surface[facing], axis=-1).argmin(axis=1)
    expected = layout[:, 2] + np.median(depth[facing[near_nose]] - layout[NOSE, 2])

    def squeezed(plane: np.ndarray, depth: np.ndarray) -> Float[np.ndarray, "K 3"]:
        return np.column_stack([plane * [1.0, -1.0], DEPTH_WEIGHT * depth])

    towards_camera = np.tile([0.0, 0.0, 1.0], (LANDMARK_COUNT, 1))
    found = nearest_surface(squeezed(wanted, expected), squeezed(surface, depth), faces, towards_camera)
    return LandmarkBarycentric(torch.from_numpy(found.faces), torch.from_numpy(found.weights).float())
