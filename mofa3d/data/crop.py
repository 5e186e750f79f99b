"""Cut an upright square crop around a face so that, on average, it lies where the model's mean face projects.

The crop is `CROP_SCALE` times the face's square, turned with it, and lies `CROP_SHIFT` of its sides below its middle,
as the face counts below. Code 0 then starts in place, and the encoder has only deviations to learn. The constants come
from ``experiments/calibrate_crops.py``: one pair for all sources, each counted the same.

Give it faces that `mofa3d.data.locate.locate` has gone over: their crops wander much less, while a photograph is
turned, than those of a detector's five points.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo

CROP_SCALE = 1.301
CROP_SHIFT = 0.063
IMAGE_SIZE = 240


def crop_face(
    photo: Photo, face: FoundFace, image_size: int = IMAGE_SIZE
) -> tuple[UInt8[np.ndarray, "S S 3"], CropTransform]:
    """Cut the calibrated crop of a face; outside the photograph its border pixels are repeated."""
    transform = crop_transform(face, image_size)
    return resample(photo, transform, image_size), transform


def crop_transform(face: FoundFace, image_size: int = IMAGE_SIZE) -> CropTransform:
    """From the photograph to the face's crop."""
    return CropTransform.around(face.below(CROP_SHIFT), CROP_SCALE * face.size, face.roll, image_size)


def face_in_crop(transform: CropTransform, image_size: int = IMAGE_SIZE, score: float = 1.0) -> FoundFace:
    """The face whose crop this is."""
    size = image_size / transform.scale / CROP_SCALE
    x, y = transform.to_photo(np.full(2, image_size / 2)).tolist()
    return FoundFace.of_box(x, y, size, score, transform.roll).moved_down(-CROP_SHIFT)


def calibrate(
    landmarks: list[Float[np.ndarray, "P 2"]],
    faces: list[FoundFace],
    projected_mean: Float[np.ndarray, "P 2"],
    image_size: int,
) -> tuple[float, float, float]:
    """`CROP_SCALE` and `CROP_SHIFT` that lay a corpus's average landmarks on the projected mean face.

    The landmarks are averaged in units of their faces' squares (median over faces: wrong finds must not count). The
    horizontal shift is left out: a corpus and its mirror image must agree.

    Args:
        landmarks: of each face, in pixels of its photograph; any fixed choice of points.
        faces: as found.
        projected_mean: the same points of the model's mean face, in pixels of a crop.
        image_size: of that crop.

    Returns:
        ``CROP_SCALE``, ``CROP_SHIFT``, and the roll in degrees that is left, which should be about 0.
    """
    squares = [CropTransform.around((face.x, face.y), face.size, face.roll, 1) for face in faces]
    inside = [square.to_crop(points) for square, points in zip(squares, landmarks, strict=True)]
    average = np.median(inside, axis=0) - 0.5
    middle, side = align(average, projected_mean, image_size)
    return side, float(middle[1]), CropTransform.between(average, projected_mean).roll


def align(
    points: Float[np.ndarray, "P 2"], projected_mean: Float[np.ndarray, "P 2"], image_size: int
) -> tuple[Float[np.ndarray, "2"], float]:
    """Centre and side of the unturned crop that lays points on those of the projected mean face, by least squares."""
    centred, target = points - points.mean(axis=0), projected_mean - projected_mean.mean(axis=0)
    scale = float((centred * target).sum() / np.square(centred).sum())  # crop pixels for one unit of the points
    return points.mean(axis=0) + (image_size / 2 - projected_mean.mean(axis=0)) / scale, image_size / scale
