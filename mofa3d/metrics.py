"""Error measures for reports: errors with units, one per image.

Eq. 8 decreases when a face shrinks onto the nose, so read the photometric error together with the landmark error and
the area ratio.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor

from mofa3d.losses import LANDMARKS_46, residuals
from mofa3d.scene import Rendering


def photometric_error(rendering: Rendering, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"]:
    """Mean color distance ‖I(u_i) − c_i‖₂ over the samples with nonzero weight (0 to √3); NaN for an image
    without any.
    """
    distance, weights = residuals(rendering, image)
    return (weights * distance).sum(dim=1) / weights.sum(dim=1)


def landmark_error(
    projected: Float[Tensor, "B 68 2"], reference: Float[Tensor, "B 68 2"], confidence: Float[Tensor, "B 68"]
) -> Float[Tensor, "B"]:
    """Mean distance in pixels over those of the 46 points with a confidence above 0; NaN if there are none."""
    points = list(LANDMARKS_46)
    distance = torch.linalg.vector_norm(projected[:, points] - reference[:, points], dim=-1)
    known = (confidence[:, points] > 0).to(distance)
    return (distance * known).sum(dim=1) / known.sum(dim=1)


def area_ratio(
    projected: Float[Tensor, "B 68 2"], reference: Float[Tensor, "B 68 2"], confidence: Float[Tensor, "B 68"]
) -> Float[Tensor, "B"]:
    """Area of the convex hull of the model's 46 projected points, divided by that of the photograph's points.

    Below 1, the face has shrunk. NaN if a point is missing.
    """
    points = list(LANDMARKS_46)
    known = (confidence[:, points] > 0).all(dim=1)
    ratios = [
        _hull_area(ours) / _hull_area(theirs) if complete else float("nan")
        for ours, theirs, complete in zip(projected[:, points], reference[:, points], known, strict=True)
    ]
    return torch.tensor(ratios, dtype=torch.float32)


def _hull_area(points: Float[Tensor, "P 2"]) -> float:
    return cv2.contourArea(cv2.convexHull(points.detach().cpu().numpy().astype(np.float32)))


def geometric_error(
    vertices: Float[Tensor, "B N 3"],
    rotation: Float[Tensor, "B 3"],
    true_vertices: Float[Tensor, "B N 3"],
    true_rotation: Float[Tensor, "B 3"],
    region: Bool[Tensor, "N"],
) -> Float[Tensor, "B"]:
    """Mean point-to-point distance in mm over a region of two faces of the same topology.

    Each is rotated by its own rotation, so errors of the pose count; translation and isotropic scale are compensated.

    Reference: Tewari et al. 2017, Sec. 7.
    """
    ours = (vertices @ axis_angle_to_matrix(rotation))[:, region]
    theirs = (true_vertices @ axis_angle_to_matrix(true_rotation))[:, region]
    ours = ours - ours.mean(dim=1, keepdim=True)
    theirs = theirs - theirs.mean(dim=1, keepdim=True)
    scale = (ours * theirs).sum(dim=(1, 2)) / ours.square().sum(dim=(1, 2))
    return torch.linalg.vector_norm(scale[:, None, None] * ours - theirs, dim=-1).mean(dim=1)
