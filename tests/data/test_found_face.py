"""A face's square follows from its five points, and each face is reported once."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.found_face import UPRIGHT_FIVE, FoundFace, distinct


def face(x: float, y: float, size: float, score: float = 0.9) -> FoundFace:
    return FoundFace(x, y, size, 0.0, score, ())


class TestOfPoints:
    @pytest.mark.parametrize("roll", [0.0, 33.0, -120.0, 170.0])
    def test_an_average_face(self, roll):
        square = CropTransform.around((200.0, 150.0), 80.0, roll, 1)
        found = FoundFace.of_points(square.to_photo(np.array(UPRIGHT_FIVE) + 0.5), 0.7)
        assert (found.x, found.y, found.size, found.roll) == pytest.approx((200, 150, 80, roll))
        assert found.misfit == pytest.approx(0, abs=1e-12)
        assert found.score == 0.7

    def test_misfit_is_measured_in_sides(self):
        five = np.array(UPRIGHT_FIVE)
        moved = five + np.array([[0, 0], [0, 0], [0.1, 0], [0, 0], [0, 0]])
        small, large = (FoundFace.of_points(scale * moved, 1.0).misfit for scale in (10.0, 700.0))
        assert small == pytest.approx(large)
        assert 0.02 < small < 0.1 / 5**0.5


class TestOfBox:
    @pytest.mark.parametrize("roll", [0.0, 33.0, -120.0])
    def test_points_are_an_average_face_s(self, roll):
        box = FoundFace.of_box(200.0, 150.0, 80.0, 0.7, roll)
        again = FoundFace.of_points(box.five, 0.7)
        assert (again.x, again.y, again.size, again.roll) == pytest.approx((200, 150, 80, roll))
        assert again.misfit == pytest.approx(0, abs=1e-12)

    def test_below_counts_as_the_face_does(self):
        assert FoundFace.of_box(200.0, 150.0, 80.0, 1.0, 90.0).below(0.25) == pytest.approx((180, 150))
        moved = FoundFace.of_box(200.0, 150.0, 80.0, 1.0).moved_down(0.25)
        assert (moved.x, moved.y, moved.size) == pytest.approx((200, 170, 80))
        np.testing.assert_allclose(moved.five, FoundFace.of_box(200.0, 170.0, 80.0, 1.0).five, atol=1e-9)


class TestDistinct:
    def test_the_surest_of_those_that_overlap(self):
        a, b, far = face(50, 50, 20, 0.8), face(53, 50, 20, 0.9), face(90, 50, 20, 0.7)
        assert distinct([a, b, far]) == [b, far]
        assert distinct([far, b, a]) == [b, far]

    def test_a_find_inside_another_is_the_same_face(self):
        chin, whole = face(50, 62, 10, 0.8), face(50, 50, 40, 0.9)
        assert chin.overlap(whole) == pytest.approx(1 / 16)
        assert distinct([chin, whole]) == [whole]

    def test_neighbours_are_two(self):
        both = [face(50, 50, 20, 0.9), face(66, 50, 20, 0.8)]
        assert distinct(both) == both

    def test_none(self):
        assert distinct([]) == []
