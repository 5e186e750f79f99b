"""Cut a square crop around a face so that, on average, the face lies where the model's mean face projects.

The crop is ``CROP_SCALE`` times the Haar box's side and lies ``CROP_SHIFT`` box sides below its centre. Code 0 then
starts in place, and the encoder has only deviations to learn. The constants come from
``experiments/calibrate_crops.py`` on 26,000 photographs of three corpora, each counted the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.data.detect import FaceBox
from mofa3d.data.photo import Photo

if TYPE_CHECKING:
    from torch import Tensor


CROP_SCALE = 1.325
CROP_SHIFT = 0.148
IMAGE_SIZE = 240


@dataclass(frozen=True)
class CropTransform:
    """The similarity (no rotation) from a photograph to its crop, both in pixels with the first centre at (0.5, 0.5).

    Attributes:
        left, top: the crop's corner in the photograph; may lie outside it.
        scale: crop pixels per photograph pixel.
    """

    left: float
    top: float
    scale: float

    @overload
    def to_crop(self, points: Tensor) -> Tensor: ...
    @overload
    def to_crop(self, points: np.ndarray) -> np.ndarray: ...
    def to_crop(self, points: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Photograph pixels (..., 2) to crop pixels."""
        return (points - self._corner(points)) * self.scale

    @overload
    def to_photo(self, points: Tensor) -> Tensor: ...
    @overload
    def to_photo(self, points: np.ndarray) -> np.ndarray: ...
    def to_photo(self, points: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Crop pixels (..., 2) to photograph pixels."""
        return points / self.scale + self._corner(points)

    def _corner(self, like: Tensor | np.ndarray) -> Tensor | np.ndarray:
        corner = (self.left, self.top)
        return np.asarray(corner, dtype=like.dtype) if isinstance(like, np.ndarray) else like.new_tensor(corner)


def crop_face(
    photo: Photo, box: FaceBox, image_size: int = IMAGE_SIZE
) -> tuple[UInt8[np.ndarray, "S S 3"], CropTransform]:
    """Cut the calibrated crop of a face; outside the photograph its border pixels are repeated."""
    centre = (box.x, box.y + CROP_SHIFT * box.size)
    return cut(photo, centre, CROP_SCALE * box.size, image_size)


def cut(
    photo: Photo, centre: tuple[float, float], side: float, size: int
) -> tuple[UInt8[np.ndarray, "S S 3"], CropTransform]:
    """Resample a square of a photograph to `size` pixels, bilinearly after averaging where it shrinks.

    Args:
        photo: the photograph.
        centre, side: the square, in its pixels; the borders are repeated outside.
        size: pixels of the result.
    """
    left, top, scale = centre[0] - side / 2, centre[1] - side / 2, size / side
    transform = CropTransform(left, top, scale)
    height, width = photo.shape[:2]
    margin = math.ceil(2 / scale) + 1
    x0, x1 = _overlap(left - margin, left + side + margin, width)
    y0, y1 = _overlap(top - margin, top + side + margin, height)
    part = photo[y0:y1, x0:x1]
    shrink_x = shrink_y = 1.0
    if scale < 1:
        # Bilinear sampling alone would skip pixels; averaging first keeps fine texture from aliasing.
        smaller = (max(1, round(scale * (x1 - x0))), max(1, round(scale * (y1 - y0))))
        part = cv2.resize(part, smaller, interpolation=cv2.INTER_AREA)
        shrink_x, shrink_y = part.shape[1] / (x1 - x0), part.shape[0] / (y1 - y0)
    # From centres counted from 0 in the crop to centres counted from 0 in `part`.
    to_part = np.array(
        [
            [shrink_x / scale, 0, (0.5 / scale + left - x0) * shrink_x - 0.5],
            [0, shrink_y / scale, (0.5 / scale + top - y0) * shrink_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, to_part, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE), transform


def _overlap(low: float, high: float, length: int) -> tuple[int, int]:
    """The part of [low, high] inside [0, length] in whole pixels, at least one."""
    start = min(max(math.floor(low), 0), length - 1)
    return start, max(min(math.ceil(high), length), start + 1)


def calibrate(
    landmarks: Float[np.ndarray, "K P 2"],
    boxes: list[FaceBox],
    projected_mean: Float[np.ndarray, "P 2"],
    image_size: int,
) -> tuple[float, float]:
    """The crop's scale and shift that lay a corpus's average landmarks on the projected mean face.

    The landmarks are averaged in units of their boxes (median over faces: wrong detections must not count); the
    least-squares similarity without rotation that takes them to the projected mean says where and how large a crop must
    be. The horizontal shift is left out: a corpus and its mirror image must agree.

    Args:
        landmarks: of each face, in pixels of its photograph; any fixed choice of points.
        boxes: of each face.
        projected_mean: the same points of the model's mean face, in pixels of a crop.
        image_size: of that crop.

    Returns:
        ``CROP_SCALE`` and ``CROP_SHIFT``.
    """
    corner = np.array([(box.x, box.y) for box in boxes])[:, None]
    size = np.array([box.size for box in boxes])[:, None, None]
    average = np.median((landmarks - corner) / size, axis=0)
    middle, side = align(average, projected_mean, image_size)
    return side, float(middle[1])


def align(
    points: Float[np.ndarray, "P 2"], projected_mean: Float[np.ndarray, "P 2"], image_size: int
) -> tuple[Float[np.ndarray, "2"], float]:
    """The centre and side of the crop that lays points on those of the projected mean face, by least squares."""
    centred, target = points - points.mean(axis=0), projected_mean - projected_mean.mean(axis=0)
    scale = float((centred * target).sum() / np.square(centred).sum())  # crop pixels for one unit of the points
    return points.mean(axis=0) + (image_size / 2 - projected_mean.mean(axis=0)) / scale, image_size / scale
