"""Where the face is in a photograph: the hull of its landmarks with a forehead."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

BROWS = slice(17, 27)
NOSE_ROOT, NOSE_BASE = 27, 33
FINE = 4  # fractional bits of the polygon's corners


def face_region(
    landmarks: Float[Tensor, "B 68 2"],
    confidence: Float[Tensor, "B 68"],
    average: Float[Tensor, "68 2"],
    landmark_size: int,
    image_size: int,
) -> Float[Tensor, "B S S"]:
    """Masks of faces, 1 inside.

    The 68 points end at the brows; the forehead is the brows moved up by the length of the nose. A face of which a
    point is unknown gets the region of the average face, where crops are calibrated to have theirs.

    Args:
        landmarks: pixels of a crop of `landmark_size`.
        confidence: 0 = unknown.
        average: the same points of the projected average face.
        landmark_size: side of the crop that the points are measured in.
        image_size: S.
    """
    known = (confidence > 0).all(dim=1)
    points = torch.where(known[:, None, None], landmarks, average.to(landmarks))
    forehead = points[:, BROWS] + (points[:, NOSE_ROOT] - points[:, NOSE_BASE])[:, None]
    outlines = torch.cat([points, forehead], dim=1) * (image_size / landmark_size)
    masks = np.zeros((len(outlines), image_size, image_size), dtype=np.float32)
    for mask, outline in zip(masks, outlines.detach().cpu().numpy().astype(np.float32), strict=True):
        # OpenCV counts pixel centres from 0, we from 0.5.
        corners = np.round((cv2.convexHull(outline) - 0.5) * 2**FINE).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 1.0, shift=FINE)
    return torch.from_numpy(masks).to(landmarks.device)
