"""Crops have the calibrated size and place and are upright, whatever the roll."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from dots import centroid, dots

from mofa3d.data.crop import (
    CROP_SCALE,
    CROP_SHIFT,
    IMAGE_SIZE,
    align,
    calibrate,
    crop_face,
    crop_transform,
    face_in_crop,
)
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.locate import locate
from mofa3d.data.photo import read_photo

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("roll", [0.0, 90.0, -30.0])
def test_size_and_place(roll):
    crop, transform = crop_face(np.zeros((300, 400, 3), np.uint8), FoundFace.of_box(200.0, 150.0, 80.0, 1.0, roll))
    assert crop.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    middle = transform.to_photo(np.array([IMAGE_SIZE / 2, IMAGE_SIZE / 2]))
    down = CROP_SHIFT * 80
    expected = (200 - down * np.sin(np.radians(roll)), 150 + down * np.cos(np.radians(roll)))
    np.testing.assert_allclose(middle, expected, atol=1e-9)
    assert transform.scale == pytest.approx(IMAGE_SIZE / (CROP_SCALE * 80))
    assert transform.roll == roll


@pytest.mark.parametrize("roll", [0.0, 90.0, -30.0])
def test_the_face_of_a_crop_is_the_one_it_was_cut_for(roll):
    face = FoundFace.of_box(200.0, 150.0, 80.0, 0.4, roll)
    back = face_in_crop(crop_transform(face, 96), 96, 0.4)
    assert (back.x, back.y, back.size, back.roll, back.score) == pytest.approx((200, 150, 80, roll, 0.4))
    np.testing.assert_allclose(back.five, face.five, atol=1e-9)


def test_a_turned_photograph_gives_the_same_crop(portrait):
    photo = read_photo(portrait)
    crops = []
    for picture in (photo, np.ascontiguousarray(np.rot90(photo))):
        crops.append(crop_face(picture, locate(picture, detect_faces(picture)[0]).face)[0])
    assert np.abs(crops[0].astype(int) - crops[1])[40:-40, 40:-40].mean() < 5


def test_a_larger_photograph_gives_the_same_crop():
    small = dots(120, 120, (50.0, 70.0), (75.0, 52.0), radius=9)
    large = cv2.resize(small, (480, 480), interpolation=cv2.INTER_CUBIC)
    one = crop_face(small, FoundFace.of_box(60.0, 58.0, 50.0, 1.0))[0]
    other = crop_face(large, FoundFace.of_box(240.0, 232.0, 200.0, 1.0))[0]
    assert np.abs(one.astype(int) - other).max() < 12
    np.testing.assert_allclose(centroid(one), centroid(other), atol=0.05)


class TestCalibrate:
    TARGET = RANDOM.uniform(60, 180, (46, 2))

    def corpus(self, scale: float, shift: float, noise: float = 0.0) -> tuple[list[np.ndarray], list[FoundFace]]:
        """Faces whose calibrated crop shows the target."""
        random = np.random.default_rng(1)
        places = random.uniform((100, 100, 30, -180), (900, 900, 400, 180), (31, 4)).tolist()
        faces = [FoundFace.of_box(x, y, size, 1.0, roll) for x, y, size, roll in places]
        landmarks = []
        for face in faces:
            square = CropTransform.around((face.x, face.y), face.size, face.roll, 1)
            inside = (self.TARGET - 120) / 240 * scale + [0.5, 0.5 + shift]
            landmarks.append(square.to_photo(inside + noise * random.normal(size=inside.shape)))
        return landmarks, faces

    @pytest.mark.parametrize(("scale", "shift"), [(1.384, 0.06), (2.0, -0.3)])
    def test_known_constants(self, scale, shift):
        found = calibrate(*self.corpus(scale, shift), self.TARGET, 240)
        assert found == pytest.approx((scale, shift, 0.0), abs=1e-6)

    def test_noise_averages_out(self):
        found = calibrate(*self.corpus(1.4, 0.1, noise=0.03), self.TARGET, 240)
        assert found[:2] == pytest.approx((1.4, 0.1), abs=0.015)
        assert abs(found[2]) < 0.5

    def test_wrong_detections_do_not_count(self):
        landmarks, faces = self.corpus(1.4, 0.1)
        faces[:9] = [FoundFace.of_box(5.0, 5.0, 40.0, 1.0)] * 9
        assert calibrate(landmarks, faces, self.TARGET, 240) == pytest.approx((1.4, 0.1, 0.0), abs=1e-6)


def test_alignment_by_least_squares():
    target = RANDOM.uniform(60, 180, (46, 2))
    centre, side = align((target - 120) / 3 + [50, 70], target, 240)
    assert (*centre, side) == pytest.approx((50, 70, 80))
