"""Upright square crops: the similarity (scale, shift, roll) from a photograph to a crop, and how pixels follow it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.data.photo import Photo
from mofa3d.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CropTransform:
    """From a photograph to its crop, both in pixels with the first centre at (0.5, 0.5).

    Attributes:
        left, top: the crop's first corner in the photograph; may lie outside it.
        scale: crop pixels per photograph pixel.
        roll: degrees by which the crop's square is turned clockwise in the photograph, so that a face with this roll
            stands upright in the crop.
    """

    left: float
    top: float
    scale: float
    roll: float = 0.0

    @staticmethod
    def around(centre: tuple[float, float], side: float, roll: float, size: int) -> CropTransform:
        """To a crop of `size` pixels of a square of the photograph."""
        half = _rotation(roll) @ np.full(2, side / 2)
        return CropTransform(float(centre[0] - half[0]), float(centre[1] - half[1]), size / side, roll)

    @staticmethod
    def between(points: Float[np.ndarray, "K 2"], target: Float[np.ndarray, "K 2"]) -> CropTransform:
        """By least squares, from points of the photograph to where they belong in the crop; never a mirror image.

        Raises:
            ValueError: the points are one and the same, so that they say nothing about scale and roll.
        """
        middle, goal = points.mean(axis=0), target.mean(axis=0)
        a, b = points - middle, target - goal
        along, across = float((a * b).sum()), float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
        spread = float(np.square(a).sum())
        length = math.hypot(along, across)
        if not (spread > 0 and length > 0):
            raise InputError("a similarity needs points that differ and that have a direction in common")
        scale, roll = length / spread, -math.degrees(math.atan2(across, along))
        left, top = middle - _rotation(roll) @ goal / scale
        return CropTransform(float(left), float(top), scale, roll)

    @overload
    def to_crop(self, points: Tensor) -> Tensor: ...
    @overload
    def to_crop(self, points: np.ndarray) -> np.ndarray: ...
    def to_crop(self, points: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Photograph pixels (..., 2) to crop pixels."""
        return (points - self._like(points, self._corner)) @ self._like(points, self._turn) * self.scale

    @overload
    def to_photo(self, points: Tensor) -> Tensor: ...
    @overload
    def to_photo(self, points: np.ndarray) -> np.ndarray: ...
    def to_photo(self, points: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Crop pixels (..., 2) to photograph pixels."""
        return points / self.scale @ self._like(points, self._turn.T) + self._like(points, self._corner)

    def padded(self, margin: float) -> CropTransform:
        """To a crop with so many pixels more on each side, at the same scale."""
        left, top = self.to_photo(np.full(2, -float(margin))).tolist()
        return CropTransform(left, top, self.scale, self.roll)

    def of_resized(self, factor: float) -> CropTransform:
        """To the same crop of the photograph resized by a factor."""
        return CropTransform(self.left * factor, self.top * factor, self.scale / factor, self.roll)

    def bounds(self, size: int) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
        """Left, top and right, bottom of what a crop of `size` pixels shows of the photograph."""
        corners = self.to_photo(np.array([[0, 0], [size, 0], [0, size], [size, size]], dtype=np.float64))
        return np.min(corners, axis=0), np.max(corners, axis=0)

    @property
    def matrix(self) -> Float[np.ndarray, "2 3"]:
        """Takes columns (x, y, 1) of crop pixels to the photograph's."""
        return np.column_stack([self._turn / self.scale, self._corner])

    @property
    def _corner(self) -> np.ndarray:
        return np.array([self.left, self.top])

    @property
    def _turn(self) -> np.ndarray:
        """Takes rows of photograph pixels to the crop's axes."""
        return _rotation(self.roll)

    def _like(self, points: Tensor | np.ndarray, values: np.ndarray) -> Tensor | np.ndarray:
        if isinstance(points, np.ndarray):
            return values.astype(np.result_type(points.dtype, np.float32))  # whole numbers would cut the corner's off
        return points.new_tensor(values)


def _rotation(roll: float) -> Float[np.ndarray, "2 2"]:
    """Turns columns clockwise in an image (y down); quarter turns are exact."""
    quarters, rest = divmod(roll, 90.0)
    if rest == 0:
        cosine, sine = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
    else:
        cosine, sine = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    return np.array([[cosine, -sine], [sine, cosine]])


def resample(photo: Photo, transform: CropTransform, size: int) -> UInt8[np.ndarray, "S S 3"]:
    """The crop of `size` pixels, bilinearly after averaging where it shrinks; borders are repeated outside."""
    height, width = photo.shape[:2]
    scale = transform.scale
    low, high = transform.bounds(size)
    margin = math.ceil(2 / scale) + 1
    x0, x1 = _inside(low[0] - margin, high[0] + margin, width)
    y0, y1 = _inside(low[1] - margin, high[1] + margin, height)
    part = photo[y0:y1, x0:x1]
    shrink = np.ones(2)
    if scale < 1:
        # Bilinear sampling alone would skip pixels; averaging first keeps fine texture from aliasing.
        smaller = (max(1, round(scale * (x1 - x0))), max(1, round(scale * (y1 - y0))))
        part = cv2.resize(part, smaller, interpolation=cv2.INTER_AREA)
        shrink = np.array([part.shape[1] / (x1 - x0), part.shape[0] / (y1 - y0)])
    # From centres counted from 0 in the crop to centres counted from 0 in `part`.
    turn = _rotation(transform.roll) / scale
    offset = turn @ np.full(2, 0.5) + (transform.left - x0, transform.top - y0)
    to_part = np.column_stack([shrink[:, None] * turn, shrink * offset - 0.5])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, to_part, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _inside(low: float, high: float, length: int) -> tuple[int, int]:
    """The part of [low, high] inside [0, length] in whole pixels, at least one."""
    start = min(max(math.floor(low), 0), length - 1)
    return start, max(min(math.ceil(high), length), start + 1)
