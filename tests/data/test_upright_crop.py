"""Upright crops have the calibrated size and place, whatever the roll, and doubtful faces are told."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.data.doubts import doubt
from mofa3d.data.face_landmarker import detect_dense_landmarks
from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import UPRIGHT_FIVE, FoundFace
from mofa3d.data.landmarks_478 import steadied
from mofa3d.data.photo import read_photo
from mofa3d.data.similarity import Similarity
from mofa3d.data.upright_crop import SCALE, SHIFT, calibrate, region_of, upright_crop

RANDOM = np.random.default_rng(0)


def average_face(x: float, y: float, size: float, roll: float = 0.0, score: float = 0.9) -> FoundFace:
    square = Similarity.around((x, y), size, roll, 1)
    return FoundFace.of_points(square.to_photo(np.array(UPRIGHT_FIVE) + 0.5), score)


@pytest.mark.parametrize("roll", [0.0, 90.0, -30.0])
def test_place(roll):
    transform = region_of(average_face(200.0, 150.0, 80.0, roll), 240)
    middle = transform.to_photo(np.array([120.0, 120.0]))
    down = SHIFT * 80
    expected = (200 - down * np.sin(np.radians(roll)), 150 + down * np.cos(np.radians(roll)))
    np.testing.assert_allclose(middle, expected, atol=1e-9)
    assert transform.scale == pytest.approx(240 / (SCALE * 80))


def test_a_turned_photograph_gives_the_same_crop(portrait):
    photo = read_photo(portrait)
    turned = np.ascontiguousarray(np.rot90(photo))
    crops = []
    for picture in (photo, turned):
        face = find_faces(picture)[0]
        crops.append(upright_crop(picture, steadied(face, detect_dense_landmarks(picture, face).points))[0])
    assert np.abs(crops[0].astype(int) - crops[1])[40:-40, 40:-40].mean() < 5


def test_calibration_finds_known_constants():
    target = RANDOM.uniform(60, 180, (46, 2))
    places = RANDOM.uniform((100, 100, 30, -180), (900, 900, 400, 180), (9, 4))
    faces = [average_face(*place) for place in places.tolist()]
    landmarks = []
    for face in faces:
        square = Similarity.around((face.x, face.y), face.size, face.roll, 1)
        landmarks.append(square.to_photo((target - 120) / 240 * 1.7 + [0.5, 0.5 - 0.1]))
    assert calibrate(landmarks, faces, target, 240) == pytest.approx((1.7, -0.1, 0.0), abs=1e-6)


class TestDoubts:
    PHOTO = np.zeros((400, 400, 3), dtype=np.uint8)

    def test_none_about_a_plain_face(self, portrait):
        assert doubt(self.PHOTO, average_face(200.0, 200.0, 150.0)) is None
        photo = read_photo(portrait)
        assert doubt(photo, find_faces(photo)[0], presence=0.999) is None

    @pytest.mark.parametrize(
        ("face", "words", "refused"),
        [
            (average_face(200.0, 200.0, 30.0), "30 pixels", False),
            (average_face(200.0, 200.0, 12.0), "12 pixels", True),
            (average_face(10.0, 200.0, 150.0), "43 % outside", False),
            (average_face(-20.0, 200.0, 150.0), "63 % outside", True),
            (average_face(200.0, 200.0, 150.0, score=0.68), "score 0.68", False),
        ],
    )
    def test_reasons(self, face, words, refused):
        found = doubt(self.PHOTO, face)
        assert words in found.reason
        assert found.refused == refused

    def test_points_in_odd_places(self):
        five = 150 * np.array(UPRIGHT_FIVE) + 200
        chin = FoundFace.of_points(five[[3, 4, 2, 0, 1]] * [1, 0.4] + [0, 120], 0.9)
        found = doubt(self.PHOTO, chin)
        assert "odd places" in found.reason

    def test_the_landmark_network_is_heard(self):
        face = average_face(200.0, 200.0, 150.0)
        assert not doubt(self.PHOTO, face, presence=0.3).refused
        assert doubt(self.PHOTO, face, presence=0.001).refused
