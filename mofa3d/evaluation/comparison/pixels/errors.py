"""How near an image comes to a photograph, and how sharp it is, inside a region."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.pictures.color import LUMA

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


def color_distance(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Mean ‖image − photo‖₂ over the pixels of a region (the ℓ2,1 norm of Eq. 8): loss and error in one.

    0 where the region is empty.
    """
    # The clamp gives a perfect match the gradient 0 instead of NaN.
    distance = (image - photo).square().sum(dim=1).clamp_min(1e-12).sqrt()
    return (distance * region).sum(dim=(1, 2)) / region.sum(dim=(1, 2)).clamp_min(1.0)


def gradient_product(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Mean product of two images' brightness differences of neighbouring pixels that both lie in a region.

    Of an image with itself, its gradient energy; 0 where there are no neighbours.
    """
    first, second = ((image * image.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1) for image in (a, b))
    total, number = region.new_zeros(len(region)), region.new_zeros(len(region))
    for axis in (1, 2):
        size = region.shape[axis] - 1
        pairs = region.narrow(axis, 0, size) * region.narrow(axis, 1, size)
        product = first.diff(dim=axis) * second.diff(dim=axis)
        total, number = total + (pairs * product).sum(dim=(1, 2)), number + pairs.sum(dim=(1, 2))
    return total / number.clamp_min(1.0)


def sharpness(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Gradient energy of an image over that of the photograph it stands for; below 1 it is blurrier.

    Noise and the chequers that deconvolutions leave count as sharp: read it beside `detail`.
    """
    return gradient_product(image, image, region) / gradient_product(photo, photo, region).clamp_min(1e-12)


def detail(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Share of the photograph's brightness differences that an image repeats in the same place; noise adds nothing."""
    return gradient_product(image, photo, region) / gradient_product(photo, photo, region).clamp_min(1e-12)
