"""A photograph that is turned by any angle gives the same face, in its place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mofa3d.data.photo import Photo, read_photo
from mofa3d.reconstruction.reconstructor import Reconstruction, Reconstructor

MIDDLE, SIDE = (265.0, 235.0), 440  # of the part of the portrait that is shown
FINER = 2  # so that turning itself costs little sharpness
BLOCKS = ("shape", "expression", "reflectance")


@pytest.fixture(scope="module")
def reconstruct() -> Reconstructor:
    return Reconstructor.open()


def turning(angle: float) -> np.ndarray:
    """From the portrait to a picture of it turned counterclockwise about the face's middle, which is the picture's."""
    matrix = cv2.getRotationMatrix2D(MIDDLE, angle, FINER)
    matrix[:, 2] += FINER * SIDE / 2 - np.array(MIDDLE)
    return matrix


def turned(photo: Photo, angle: float) -> Photo:
    matrix = turning(angle)
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5) - 0.5  # OpenCV counts pixel centres from 0
    size = (FINER * SIDE, FINER * SIDE)
    return cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)


def same_face(reconstruct: Reconstructor, portrait, angles: range) -> None:
    photo = read_photo(portrait)
    [first] = reconstruct(turned(photo, 0))
    for angle in angles:
        [found] = reconstruct(turned(photo, angle))
        for name in BLOCKS:
            ours, theirs = (getattr(face.code, name) for face in (found, first))
            assert float((ours - theirs).norm() / theirs.norm()) < 0.05, (angle, name)
        away = points(found, angle) - points(first, 0)
        assert np.linalg.norm(away, axis=1).mean() < 1.0, angle
        assert (found.transform.roll - first.transform.roll + angle + 180) % 360 - 180 == pytest.approx(0, abs=1.0)


def points(face: Reconstruction, angle: float) -> np.ndarray:
    """The landmarks, pixels of the portrait."""
    with torch.no_grad():
        seen = face.transform.to_photo(face.scene.landmarks[0].double().numpy())
    back = cv2.invertAffineTransform(turning(angle))
    return seen @ back[:, :2].T + back[:, 2]


def test_some_angles(reconstruct, portrait):
    same_face(reconstruct, portrait, range(60, 360, 120))


@pytest.mark.slow
def test_all_around(reconstruct, portrait):
    same_face(reconstruct, portrait, range(15, 360, 15))
