"""What is barely a face is refused or carries a warning."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.data.doubts import doubt
from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import UPRIGHT_FIVE, FoundFace
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
