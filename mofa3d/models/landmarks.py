"""Find the 68 iBUG points of a face model that has none: detect them in a picture of its mean face.

The picture and the detector come from the caller, because both live in layers above this one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.errors import InputError
from mofa3d.models.nearest_surface import vertex_normals
from mofa3d.morphable_model import LANDMARK_COUNT, LandmarkBarycentric, MorphableModel

Draw = Callable[[MorphableModel, Camera, Tensor], np.ndarray]
Detect = Callable[[np.ndarray], np.ndarray | None]
PutBack = Callable[[MorphableModel, np.ndarray, Camera], LandmarkBarycentric]

PICTURE_SIZE = 400  # pixels
# Coefficients of y, z, x: light from the front, from above, and from both sides. Under ambient light alone a bare face
# looks flat, and dlib puts the points of the default model 7 mm away.
LIGHTS = ((0.28, 0.56, 0.0), (0.0, 0.7, 0.0), (0.2, 0.5, 0.2), (0.2, 0.5, -0.2))
# Seen through the gap between lips or lids, the back of the head is no landmark.
GAP_DEPTH, GAP_REACH = 15.0, 4.0  # mm behind the foremost surface, that far around


def fit_landmarks(
    model: MorphableModel,
    draw: Draw,
    detect: Detect,
    camera: Camera | None = None,
    put_back: PutBack | None = None,
) -> LandmarkBarycentric:
    """Draw the mean face under several lights, detect the points, and put their median back on the surface.

    Args:
        model: in model space; its own landmarks play no part.
        draw: the picture (H, W, 3) uint8 RGB of a model's mean face, as a camera sees it at rest under an illumination
            (9, 3), before a grey wall.
        detect: the 68 points of a picture, (68, 2) pixels, or ``None`` if it finds no face.
        camera: what to see it with; 400 pixels by default.
        put_back: finds the points of the mean face that belong to pixels; `back_project` by default.

    Raises:
        InputError: no face is found under any light.
    """
    camera = camera or Camera(PICTURE_SIZE)
    found = []
    for light in LIGHTS:
        illumination = torch.zeros(9, 3, dtype=torch.float32)
        illumination[1:4] = torch.tensor(light, dtype=torch.float32)[:, None]
        points = detect(draw(model, camera, illumination))
        if points is not None:
            found.append(np.asarray(points, dtype=np.float64))
    if not found:
        raise InputError(
            f"no face was detected in renderings of the mean face of {model.name!r}; look at it with "
            "`mofa3d model preview`, and see whether its reflectance and frame are those of a face"
        )
    return (put_back or back_project)(model, np.median(found, axis=0), camera)


def back_project(model: MorphableModel, points: Float[np.ndarray, "68 2"], camera: Camera) -> LandmarkBarycentric:
    """The foremost points of the mean face's surface that project to pixels, in a frontal view at rest.

    A point beside the face, as detectors put on the contour of a jaw, or in a gap goes to the nearest vertex of the
    foremost surface.
    """
    pixels = camera.project(model.mean_shape.double()).numpy()
    depth = camera.depth(model.mean_shape.double()).numpy()
    faces = model.faces.numpy()
    a, b, c = (pixels[faces[:, corner]] for corner in range(3))
    first, second = b - a, c - a
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    seen = area < 0  # counter-clockwise from outside, and the pixels' y axis points down
    toward = vertex_normals(model.mean_shape.double().numpy(), faces)[:, 2] > 0
    reach = GAP_REACH * camera.focal / camera.rest_distance
    chosen, weights = np.zeros(LANDMARK_COUNT, np.int64), np.zeros((LANDMARK_COUNT, 3))
    for number, point in enumerate(points):
        offset = point - a
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / area
            gamma = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / area
        distance = np.where(toward, np.linalg.norm(pixels - point, axis=1), np.inf)
        around = distance <= max(reach, distance.min())
        front = depth[around].min() + GAP_DEPTH
        inside = np.flatnonzero(seen & (beta >= 0) & (gamma >= 0) & (beta + gamma <= 1))
        inside = inside[depth[faces[inside]].mean(axis=1) <= front]
        if len(inside):
            share = np.stack([1 - beta[inside] - gamma[inside], beta[inside], gamma[inside]], axis=1)
            # Weights in the picture are those on the surface up to perspective, which bends a triangle by microns.
            nearest = (share * depth[faces[inside]]).sum(axis=1).argmin()
            chosen[number], weights[number] = inside[nearest], share[nearest]
        else:
            vertex = np.where(around & (depth <= front), distance, np.inf).argmin()
            chosen[number] = np.flatnonzero((faces == vertex).any(axis=1))[0]
            weights[number] = faces[chosen[number]] == vertex
    return LandmarkBarycentric(torch.from_numpy(chosen), torch.from_numpy(weights).float())


def with_landmarks(model: MorphableModel, landmarks: LandmarkBarycentric) -> MorphableModel:
    """The same model with other landmarks."""
    tensors: dict[str, Tensor] = model.state_dict()
    del tensors["landmark_faces"], tensors["landmark_weights"]
    return MorphableModel(**tensors, landmark_barycentric=landmarks, name=model.name)
