"""Upright crops: where every pixel comes from, whatever the roll."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.data.crop import cut
from mofa3d.data.similarity import Similarity, resample

RANDOM = np.random.default_rng(0)
ROLLS = [0.0, 17.3, -45.0, 90.0, 135.0, 180.0, -90.0]


def dot(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    """A soft white dot on black, whose centroid is exact to a hundredth of a pixel."""
    down, right = np.mgrid[:height, :width] + 0.5
    grey = np.exp(-((right - x) ** 2 + (down - y) ** 2) / (2 * (radius / 2) ** 2))
    return np.round(255 * grey).astype(np.uint8)[..., None].repeat(3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    down, right = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weight = image[..., 0].astype(float)
    return np.array([(weight * right).sum(), (weight * down).sum()]) / weight.sum()


class TestSimilarity:
    @pytest.mark.parametrize("roll", ROLLS)
    def test_inverse(self, roll):
        transform = Similarity(-13.7, 250.2, 0.37, roll)
        points = RANDOM.uniform(-100, 4000, (5, 68, 2))
        np.testing.assert_allclose(transform.to_photo(transform.to_crop(points)), points, rtol=0, atol=1e-9)

    def test_clockwise_roll(self):
        # The crop's axis to the right points down in the photograph where the face is turned by a quarter.
        transform = Similarity(10.0, 20.0, 2.0, 90.0)
        corners = transform.to_photo(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]))
        assert corners.tolist() == [[10, 20], [10, 22], [8, 20]]

    @pytest.mark.parametrize("roll", ROLLS)
    def test_around(self, roll):
        transform = Similarity.around((30.0, 50.0), 40.0, roll, 100)
        assert transform.scale == 2.5
        np.testing.assert_allclose(transform.to_photo(np.array([50.0, 50.0])), [30, 50], atol=1e-12)

    @pytest.mark.parametrize("roll", ROLLS)
    def test_least_squares_find_what_made_the_points(self, roll):
        made = Similarity(3.0, -4.0, 0.7, roll)
        points = RANDOM.uniform(0, 100, (5, 2))
        found = Similarity.between(points, made.to_crop(points))
        assert (found.left, found.top, found.scale) == pytest.approx((3.0, -4.0, 0.7))
        assert (found.roll - roll + 180) % 360 == pytest.approx(180)

    def test_least_squares_have_the_least_squares(self):
        points, target = RANDOM.uniform(0, 100, (2, 7, 2))

        def error(transform: Similarity) -> float:
            return float(np.square(transform.to_crop(points) - target).sum())

        best = Similarity.between(points, target)
        for field, step in (("left", 0.3), ("top", 0.3), ("scale", 0.003), ("roll", 0.3)):
            for sign in (-1, 1):
                other = {**best.__dict__, field: getattr(best, field) + sign * step}
                assert error(Similarity(**other)) > error(best)

    def test_equal_points_say_nothing(self):
        with pytest.raises(ValueError, match="points that differ"):
            Similarity.between(np.ones((5, 2)), RANDOM.uniform(size=(5, 2)))

    def test_tensors_keep_their_type_and_gradient(self):
        points = torch.tensor([[2.0, 3.0]], dtype=torch.float64, requires_grad=True)
        result = Similarity(1.0, 2.0, 4.0, 90.0).to_crop(points)
        result.sum().backward()
        assert result.dtype == torch.float64
        assert result.tolist() == [[4.0, -4.0]]
        assert points.grad.tolist() == [[-4.0, 4.0]]


class TestResample:
    @pytest.mark.parametrize(("side", "size"), [(20.0, 20), (61.3, 30), (40.0, 111)])
    def test_without_roll_it_is_the_plain_cut(self, side, size):
        photo = RANDOM.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        plain, _ = cut(photo, (41.0, 27.5), side, size)
        assert np.array_equal(resample(photo, Similarity.around((41.0, 27.5), side, 0.0, size), size), plain)

    @pytest.mark.parametrize(("roll", "quarters"), [(90.0, 1), (180.0, 2), (-90.0, 3)])
    def test_quarter_turns_on_the_pixel_grid_are_copies(self, roll, quarters):
        photo = RANDOM.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        crop = resample(photo, Similarity.around((40.0, 30.0), 20.0, roll, 20), 20)
        assert np.array_equal(crop, np.rot90(photo[20:40, 30:50], quarters))

    @pytest.mark.parametrize("roll", ROLLS)
    @pytest.mark.parametrize("side", [61.3, 100.0, 173.9])
    def test_a_dot_lands_where_the_transform_says(self, side, roll):
        transform = Similarity.around((163.31, 141.77), side, roll, 100)
        x, y = transform.to_photo(np.array([61.0, 33.0]))
        crop = resample(dot(320, 300, x, y, radius=0.12 * side), transform, 100)
        np.testing.assert_allclose(centroid(crop), [61, 33], atol=0.06)

    def test_shrinking_averages_instead_of_skipping_pixels(self):
        stripes = np.zeros((400, 400, 3), dtype=np.uint8)
        stripes[:, ::2] = 255
        crop = resample(stripes, Similarity.around((200.0, 200.0), 250.0, 30.0, 40), 40)
        assert np.abs(crop.astype(int) - 127.5).max() < 40

    def test_far_outside_the_nearest_corner_is_repeated(self):
        photo = RANDOM.integers(0, 256, (30, 30, 3), dtype=np.uint8)
        assert (resample(photo, Similarity.around((500.0, -400.0), 50.0, 30.0, 10), 10) == photo[0, -1]).all()
