"""A face that a detector found, in pixels of the photograph, and how finds that overlap are told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mofa3d.data.crop_transform import CropTransform

# Eyes, tip of the nose and corners of the mouth of the median face of lfw, utkface and ytf, from the middle of its
# square and in its sides; the square is the one around all 478 points of `mofa3d.data.face_landmarker`.
UPRIGHT_FIVE = ((-0.197, -0.202), (0.197, -0.202), (0.0, 0.023), (-0.17, 0.199), (0.17, 0.199))
OVERLAP = 0.3  # intersection over union from which two finds are the same face
INSIDE = 0.6  # share of the smaller one that lies in the larger, from which they are too


@dataclass(frozen=True)
class FoundFace:
    """A square around a face, turned with it (the centre of the photograph's top-left pixel is (0.5, 0.5)).

    Attributes:
        x, y: centre.
        size: side.
        roll: degrees by which the face is turned clockwise, in -180 to 180.
        score: how sure the detector is, in 0 to 1.
        points: x, y of the eye on the left of the upright face, the other eye, the tip of the nose, and the mouth's
            left and right corners.
    """

    x: float
    y: float
    size: float
    roll: float
    score: float
    points: tuple[tuple[float, float], ...]

    @staticmethod
    def of_points(points: Float[np.ndarray, "5 2"], score: float) -> FoundFace:
        """The face whose upright average has its five points nearest to these, by least squares."""
        upright = CropTransform.between(points, np.array(UPRIGHT_FIVE))
        x, y = upright.to_photo(np.zeros(2))
        places = tuple((float(right), float(down)) for right, down in points)
        return FoundFace(float(x), float(y), 1 / upright.scale, upright.roll, score, places)

    @staticmethod
    def of_box(x: float, y: float, size: float, score: float, roll: float = 0.0) -> FoundFace:
        """A face of which only the square is known; its five points are where an average face has them."""
        square = CropTransform.around((x, y), size, roll, 1)
        five = np.asarray(square.to_photo(np.array(UPRIGHT_FIVE) + 0.5))
        return FoundFace(x, y, size, roll, score, tuple((right, down) for right, down in five.tolist()))

    def below(self, share: float) -> tuple[float, float]:
        """The point so many sides below the centre, as the face counts below."""
        roll, down = math.radians(self.roll), share * self.size
        return self.x - math.sin(roll) * down, self.y + math.cos(roll) * down

    def moved_down(self, share: float) -> FoundFace:
        """The square moved by so many of its sides, as the face counts below, and the points with it."""
        x, y = self.below(share)
        points = tuple((right + x - self.x, down + y - self.y) for right, down in self.points)
        return replace(self, x=x, y=y, points=points)

    @property
    def five(self) -> Float[np.ndarray, "5 2"]:
        """The points as an array."""
        return np.array(self.points)

    @property
    def misfit(self) -> float:
        """How far the points are from those of the upright average face (root mean square), in sides of the square."""
        upright = CropTransform.between(self.five, np.array(UPRIGHT_FIVE))
        return float(
            np.sqrt(np.square(np.asarray(upright.to_crop(self.five)) - np.array(UPRIGHT_FIVE)).sum(axis=1).mean())
        )

    def overlap(self, other: FoundFace) -> float:
        """Intersection over union of the squares, as if neither were turned."""
        common = self._common(other)
        return common / (self.size**2 + other.size**2 - common)

    def is_same(self, other: FoundFace) -> bool:
        """Whether both are one face: a find inside another is, however much smaller."""
        smaller = min(self.size, other.size)
        return self.overlap(other) > OVERLAP or self._common(other) > INSIDE * smaller**2

    def _common(self, other: FoundFace) -> float:
        half = (self.size + other.size) / 2
        width = min(half - abs(self.x - other.x), self.size, other.size)
        height = min(half - abs(self.y - other.y), self.size, other.size)
        return max(width, 0.0) * max(height, 0.0)


def distinct(faces: Iterable[FoundFace]) -> list[FoundFace]:
    """Each face once: of finds that overlap, whatever found them, the surest stays."""
    kept: list[FoundFace] = []
    for face in sorted(faces, key=lambda face: (-face.score, -face.size, face.x, face.y)):
        if not any(face.is_same(other) for other in kept):
            kept.append(face)
    return kept
