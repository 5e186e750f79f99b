"""What is reported beside the losses: errors with units, each per image.

Eq. 8 goes down while a face shrinks onto the nose, so the photometric error never stands alone: the landmark error and
the area ratio stand beside it.
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
    """Mean color distance ‖I(u_i) − c_i‖₂ over the samples that count, whatever their number (0 to √3).

    NaN for an image in which none counts.
    """
    distance, weights = residuals(rendering, image)
    return (weights * distance).sum(dim=1) / weights.sum(dim=1)


def landmark_error(
    projected: Float[Tensor, "B 68 2"], reference: Float[Tensor, "B 68 2"], confidence: Float[Tensor, "B 68"]
) -> Float[Tensor, "B"]:
    """Mean distance in pixels over those of the 46 points that have a confidence; NaN where none has."""
    points = list(LANDMARKS_46)
    distance = torch.linalg.vector_norm(projected[:, points] - reference[:, points], dim=-1)
    known = (confidence[:, points] > 0).to(distance)
    return (distance * known).sum(dim=1) / known.sum(dim=1)


def area_ratio(
    projected: Float[Tensor, "B 68 2"], reference: Float[Tensor, "B 68 2"], confidence: Float[Tensor, "B 68"]
) -> Float[Tensor, "B"]:
    """Area of the convex hull of the model's 46 projected points over that of the photograph's.

    Below 1 the face has shrunk. NaN where a point is missing.
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

    Both are turned by their own rotation, so a wrong pose counts; translation and isotropic scale are compensated.

    Reference: Tewari et al. 2017, Sec. 7.
    """
    ours = (vertices @ axis_angle_to_matrix(rotation))[:, region]
    theirs = (true_vertices @ axis_angle_to_matrix(true_rotation))[:, region]
    ours = ours - ours.mean(dim=1, keepdim=True)
    theirs = theirs - theirs.mean(dim=1, keepdim=True)
    scale = (ours * theirs).sum(dim=(1, 2)) / ours.square().sum(dim=(1, 2))
    return torch.linalg.vector_norm(scale[:, None, None] * ours - theirs, dim=-1).mean(dim=1)
