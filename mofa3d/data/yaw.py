"""Head yaw from 68 landmarks or a rotation, for reporting errors by pose."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from torch import Tensor


# Points that speech and age move little: nose, eye corners, brows' ends, mouth corners, jaw beside the ears.
RIGID = (0, 16, 17, 21, 22, 26, *range(27, 36), 36, 39, 42, 45, 48, 54)
YAW_BINS = ((0.0, 15.0), (15.0, 30.0), (30.0, 90.0))


def estimate_yaw(points: Float[np.ndarray, "K 68 2"], mean: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "K"]:
    """Yaw in degrees against the line of sight, positive when the face turns to its own left (image right).

    Args:
        points: iBUG points, pixels (y down).
        mean: the same points of an average face, right-handed, +X to the subject's left, +Y up, +Z out of the face.

    Under scaled orthography: the least-squares affine camera of the rigid points is brought to the nearest rotation.
    """
    rigid = list(RIGID)
    model = mean[rigid] - mean[rigid].mean(axis=0)
    image = (points[:, rigid] - points[:, rigid].mean(axis=1, keepdims=True)) * [1.0, -1.0]
    affine = np.swapaxes(np.linalg.pinv(model) @ image, 1, 2)  # (K, 2, 3): image = affine @ model
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    out_of_face = np.cross(rows[:, 0], rows[:, 1])
    # Where the face's +Z axis points, seen from the camera: x to the right, z towards the viewer.
    return np.degrees(np.arctan2(rows[:, 0, 2], out_of_face[:, 2]))


def yaw_of(rotation: Float[Tensor, "B 3"]) -> Float[Tensor, "B"]:
    """Yaw in degrees of a semantic code's rotation, of the same sign as `estimate_yaw`.

    A face is turned by the inverse of its rotation (see `mofa3d.camera`), so its +Z axis is the matrix's third row.
    """
    import torch  # here: processes that prepare corpora do without it
    from pytorch3d.transforms import axis_angle_to_matrix

    axis = axis_angle_to_matrix(rotation)[:, 2]
    return torch.rad2deg(torch.atan2(axis[:, 0], axis[:, 2]))


def estimate_yaw_of_average(points: Float[np.ndarray, "68 2"]) -> float:
    """Yaw of one face against an average one, for corpora, which know no face model."""
    return float(estimate_yaw(points[None], average_landmarks())[0])


@cache
def average_landmarks() -> Float[np.ndarray, "68 3"]:
    """The iBUG points of an average face, mm, in the axes of `estimate_yaw`'s mean."""
    path = Path(__file__).with_name("average_landmarks.json")
    return np.array(json.loads(path.read_text(encoding="utf-8"))["points"])
