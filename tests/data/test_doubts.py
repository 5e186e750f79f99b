"""What is barely a face is refused or carries a warning."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.data.doubts import ASTRAY, apart, astray, doubt
from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import UPRIGHT_FIVE, FoundFace
from mofa3d.data.landmarks_478 import to_68
from mofa3d.data.photo import read_photo


def average_face(x: float, y: float, size: float, score: float = 0.9) -> FoundFace:
    return FoundFace.of_box(x, y, size, score)


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
        assert not doubt(self.PHOTO, face, presence=0.001).refused  # one in profile
        unsure = average_face(200.0, 200.0, 150.0, score=0.7)
        assert not doubt(self.PHOTO, unsure, presence=0.3).refused
        assert doubt(self.PHOTO, unsure, presence=0.1).refused


class TestAstray:
    DENSE = np.random.default_rng(0).normal(200, 40, (478, 3)).astype(np.float32)

    @property
    def eyes(self) -> float:
        points = to_68(self.DENSE).astype(np.float64)
        return float(np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0)))

    def test_distances_are_those_of_the_features(self):
        points = to_68(self.DENSE).astype(np.float64)
        assert apart(points, self.DENSE) == pytest.approx(0.0, abs=1e-6)
        assert apart(points + np.array([0.3, 0.4]) * self.eyes, self.DENSE) == pytest.approx(0.5, rel=1e-6)
        contour = np.arange(68)[:, None] < 17
        assert apart(points + 50 * contour, self.DENSE) == pytest.approx(0.0, abs=1e-6)

    def test_only_what_is_far_off_is_told(self):
        points = to_68(self.DENSE).astype(np.float64)
        assert astray(points + np.array([0.9 * ASTRAY, 0]) * self.eyes, self.DENSE) == ""
        told = astray(points + np.array([0, 0.5]) * self.eyes, self.DENSE)
        assert told == "lies beside its features in the photograph (by 50 % of the distance between the eyes)"
