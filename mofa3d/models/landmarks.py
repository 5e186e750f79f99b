"""Find the 68 iBUG points of a face model that has none: detect them in pictures of its faces.

The pictures and the detector come from the caller, because both live in layers above this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.models.nearest_surface import nearest_surface, vertex_normals
from mofa3d.morphable_model import LANDMARK_COUNT, LandmarkBarycentric, MorphableModel

Draw = Callable[[MorphableModel, Camera], np.ndarray]
Detect = Callable[[np.ndarray], np.ndarray | None]

PICTURE_SIZE = 360  # pixels; detectors need no more, and answer the same at 240 and 640

# Random faces beside the mean: standard deviations of their coefficients, and of pitch, yaw and roll in radians.
SHAPE, EXPRESSION, REFLECTANCE = 0.5, 0.5, 1.0
TURN = (0.1, 0.15, 0.1)

# How much a mm of depth counts against a mm in the picture, where the depth is only that of an average face. The
# contour of a jaw is seen edge-on, so that a pixel beside it may be centimetres behind.
DEPTH_WEIGHT = 0.4
FACING = 0.3  # least z of the normals of the skin around the nose
NOSE = list(range(27, 36))


@torch.no_grad()
def fit_landmarks(
    model: MorphableModel,
    draw: Draw,
    detect: Detect,
    camera: Camera | None = None,
    *,
    layout: Float[np.ndarray, "68 3"] | None = None,
    random_faces: int = 0,
) -> LandmarkBarycentric:
    """Draw faces, detect the points in their pictures, put them back on the surface, and take the median.

    Args:
        model: in model space; its own landmarks play no part.
        draw: the picture (H, W, 3) uint8 RGB of a model's mean face, which the camera sees at rest.
        detect: the 68 points of a picture, (68, 2) pixels, or ``None`` if it finds no face.
        camera: what to see it with; 360 pixels by default.
        layout: the points of an average face, mm, which say about how deep each lies; without it they are where the
            lines of sight meet the surface.
        random_faces: how many to look at beside the mean face; their errors cancel out in part.

    Raises:
        ValueError: no face is found in any picture.
    """
    camera, mean = camera or Camera(PICTURE_SIZE), model.mean_shape.double().numpy()
    found = []
    for face, turn in _faces(model, random_faces):
        points = detect(draw(face, camera))
        if points is not None:
            points = np.asarray(points, dtype=np.float64)
            if layout is None:
                found.append(back_project(face, points, camera))
            else:
                found.append(attach(face, points, camera, layout @ turn))
    if not found:
        raise ValueError(
            f"no face is found in the picture of the mean face of {model.name!r}; look at it with "
            "`mofa3d model preview`, and see whether its reflectance and frame are those of a face"
        )
    if len(found) == 1:
        return found[0]
    faces = model.faces.numpy()
    on_mean = [np.einsum("kj,kji->ki", one.weights.numpy(), mean[faces[one.faces.numpy()]]) for one in found]
    nearest = nearest_surface(np.median(on_mean, axis=0), mean, faces)
    return LandmarkBarycentric(torch.from_numpy(nearest.faces), torch.from_numpy(nearest.weights).float())


def _faces(model: MorphableModel, count: int) -> Iterator[tuple[MorphableModel, Float[np.ndarray, "3 3"]]]:
    """The mean face and random ones as models of their own, and the rotation by which each is turned."""
    yield model, np.eye(3)
    random, sizes = torch.Generator().manual_seed(0), model.sizes
    for _ in range(count):
        shape, expression, reflectance, turn = (
            spread * torch.randn(1, number, generator=random)
            for spread, number in (
                (SHAPE, sizes.shape),
                (EXPRESSION, sizes.expression),
                (REFLECTANCE, sizes.reflectance),
                (torch.tensor(TURN), 3),
            )
        )
        rotation = axis_angle_to_matrix(turn)[0]
        tensors = dict(model.state_dict())
        for name in ("shape_basis", "expression_basis", "reflectance_basis"):
            tensors[name] = tensors[name][..., :0]
        tensors["mean_shape"] = model.geometry(shape, expression)[0] @ rotation
        tensors["mean_reflectance"] = model.reflectance(reflectance)[0].clamp(0, 1)
        yield _model(tensors, model.landmark_barycentric, model.name), rotation.double().numpy()


def attach(
    model: MorphableModel, points: Float[np.ndarray, "68 2"], camera: Camera, layout: Float[np.ndarray, "68 3"]
) -> LandmarkBarycentric:
    """The points of the mean face's surface that are near to pixels and about as deep as those of an average face.

    Args:
        model: turned as in the picture, in which it is at rest.
        points: pixels.
        camera: what sees it.
        layout: the points of an average face that is turned alike, mm.
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


def back_project(model: MorphableModel, points: Float[np.ndarray, "68 2"], camera: Camera) -> LandmarkBarycentric:
    """The foremost points of the mean face's surface that project to pixels, in a frontal view at rest.

    A point beside the face, as detectors put on the contour of a jaw, goes to the nearest corner of a triangle that
    faces the camera.
    """
    pixels = camera.project(model.mean_shape.double()).numpy()
    depth = camera.depth(model.mean_shape.double()).numpy()
    faces = model.faces.numpy()
    a, b, c = (pixels[faces[:, corner]] for corner in range(3))
    first, second = b - a, c - a
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    seen = area < 0  # counter-clockwise from outside, and the pixels' y axis points down
    toward = vertex_normals(model.mean_shape.double().numpy(), faces)[:, 2] > 0
    chosen, weights = np.zeros(LANDMARK_COUNT, np.int64), np.zeros((LANDMARK_COUNT, 3))
    for number, point in enumerate(points):
        offset = point - a
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / area
            gamma = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / area
        inside = np.flatnonzero(seen & (beta >= 0) & (gamma >= 0) & (beta + gamma <= 1))
        if len(inside):
            share = np.stack([1 - beta[inside] - gamma[inside], beta[inside], gamma[inside]], axis=1)
            # Weights in the picture are those on the surface up to perspective, which bends a triangle by microns.
            nearest = (share * depth[faces[inside]]).sum(axis=1).argmin()
            chosen[number], weights[number] = inside[nearest], share[nearest]
        else:
            distance = np.where(toward, np.linalg.norm(pixels - point, axis=1), np.inf)
            vertex = distance.argmin()
            chosen[number] = np.flatnonzero((faces == vertex).any(axis=1))[0]
            weights[number] = faces[chosen[number]] == vertex
    return LandmarkBarycentric(torch.from_numpy(chosen), torch.from_numpy(weights).float())


def with_landmarks(model: MorphableModel, landmarks: LandmarkBarycentric) -> MorphableModel:
    """The same model with other landmarks."""
    return _model(dict(model.state_dict()), landmarks, model.name)


def _model(tensors: dict[str, Tensor], landmarks: LandmarkBarycentric, name: str) -> MorphableModel:
    del tensors["landmark_faces"], tensors["landmark_weights"]
    return MorphableModel(**tensors, landmark_barycentric=landmarks, name=name)
