"""Cut an upright square crop around a found face so that, on average, it lies where the model's mean face projects.

The crop is `SCALE` times the face's square, turned with it, and lies `SHIFT` of its sides below its middle, as the face
counts below. Code 0 then starts in place, and the encoder has only deviations to learn. The constants come from
``experiments/calibrate_upright_crops.py``: one pair for all sources, each counted the same.

Give it faces that `mofa3d.data.landmarks_478.steadied` has gone over: while a photograph is turned, their crops wander
by 0.2 pixels, 0.4 % in scale and 0.1°, those of a detector's five points by 1.5 pixels, 1.7 % and 1.4°.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.data.crop import IMAGE_SIZE, align
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo
from mofa3d.data.similarity import Similarity, resample

SCALE = 1.384
SHIFT = 0.060


def upright_crop(
    photo: Photo, face: FoundFace, image_size: int = IMAGE_SIZE
) -> tuple[UInt8[np.ndarray, "S S 3"], Similarity]:
    """The calibrated crop of a face; outside the photograph its border pixels are repeated."""
    transform = region_of(face, image_size)
    return resample(photo, transform, image_size), transform


def region_of(face: FoundFace, image_size: int = IMAGE_SIZE) -> Similarity:
    """From the photograph to the face's crop."""
    roll, down = math.radians(face.roll), SHIFT * face.size
    centre = (face.x - math.sin(roll) * down, face.y + math.cos(roll) * down)
    return Similarity.around(centre, SCALE * face.size, face.roll, image_size)


def calibrate(
    landmarks: list[Float[np.ndarray, "P 2"]],
    faces: list[FoundFace],
    projected_mean: Float[np.ndarray, "P 2"],
    image_size: int,
) -> tuple[float, float, float]:
    """`SCALE` and `SHIFT` that lay a corpus's average landmarks on the projected mean face.

    The landmarks are averaged in units of their faces' squares (median over faces: wrong finds must not count). The
    horizontal shift is left out: a corpus and its mirror image must agree.

    Args:
        landmarks: of each face, in pixels of its photograph; any fixed choice of points.
        faces: as found.
        projected_mean: the same points of the model's mean face, in pixels of a crop.
        image_size: of that crop.

    Returns:
        ``SCALE``, ``SHIFT``, and the roll in degrees that is left, which should be about 0.
    """
    squares = [Similarity.around((face.x, face.y), face.size, face.roll, 1) for face in faces]
    inside = [square.to_crop(points) for square, points in zip(squares, landmarks, strict=True)]
    average = np.median(inside, axis=0) - 0.5
    middle, side = align(average, projected_mean, image_size)
    return side, float(middle[1]), Similarity.between(average, projected_mean).roll
