"""Upright crops: where every pixel comes from, whatever the roll."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from dots import centroid, dots

from mofa3d.data.crop_transform import CropTransform, resample

RANDOM = np.random.default_rng(0)
ROLLS = [0.0, 17.3, -45.0, 90.0, 135.0, 180.0, -90.0]


def cut(photo: np.ndarray, centre: tuple[float, float], side: float, size: int) -> tuple[np.ndarray, CropTransform]:
    transform = CropTransform.around(centre, side, 0.0, size)
    return resample(photo, transform, size), transform


class TestCropTransform:
    @pytest.mark.parametrize("roll", ROLLS)
    def test_inverse(self, roll):
        transform = CropTransform(-13.7, 250.2, 0.37, roll)
        points = RANDOM.uniform(-100, 4000, (5, 68, 2))
        np.testing.assert_allclose(transform.to_photo(transform.to_crop(points)), points, rtol=0, atol=1e-9)

    def test_clockwise_roll(self):
        # The crop's axis to the right points down in the photograph where the face is turned by a quarter.
        transform = CropTransform(10.0, 20.0, 2.0, 90.0)
        corners = transform.to_photo(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]))
        assert corners.tolist() == [[10, 20], [10, 22], [8, 20]]

    def test_corner_and_scale(self):
        transform = CropTransform(left=10.0, top=-20.0, scale=2.0)
        assert transform.to_crop(np.array([[10.0, -20.0], [13.0, 0.0]])).tolist() == [[0, 0], [6, 40]]
        assert transform.to_photo(np.array([6.0, 40.0])).tolist() == [13, 0]

    @pytest.mark.parametrize("roll", ROLLS)
    def test_matrix(self, roll):
        transform = CropTransform(-13.7, 250.2, 0.37, roll)
        points = RANDOM.uniform(-100, 4000, (5, 2))
        homogeneous = np.column_stack([points, np.ones(5)])
        np.testing.assert_allclose(homogeneous @ transform.matrix.T, transform.to_photo(points), rtol=1e-12)

    @pytest.mark.parametrize("roll", ROLLS)
    def test_padded_and_of_resized(self, roll):
        transform, points = CropTransform(-13.7, 250.2, 0.37, roll), RANDOM.uniform(-100, 4000, (5, 2))
        crop = transform.to_crop(points)
        np.testing.assert_allclose(transform.padded(12).to_crop(points), crop + 12, atol=1e-9)
        np.testing.assert_allclose(transform.of_resized(0.4).to_crop(0.4 * points), crop, atol=1e-9)

    def test_whole_numbers_are_numbers(self):
        transform, points = CropTransform(-13.7, 250.2, 0.37, 33.0), np.array([[3, 4], [100, -7]])
        for way in (transform.to_photo, transform.to_crop):
            np.testing.assert_allclose(way(points), way(points.astype(np.float64)))

    def test_bounds_of_a_turned_crop(self):
        low, high = CropTransform.around((30.0, 50.0), 10.0, 45.0, 100).bounds(100)
        half = 10 / 2**0.5
        np.testing.assert_allclose([low, high], [[30 - half, 50 - half], [30 + half, 50 + half]], atol=1e-9)

    @pytest.mark.parametrize("roll", ROLLS)
    def test_around(self, roll):
        transform = CropTransform.around((30.0, 50.0), 40.0, roll, 100)
        assert transform.scale == 2.5
        np.testing.assert_allclose(transform.to_photo(np.array([50.0, 50.0])), [30, 50], atol=1e-12)

    @pytest.mark.parametrize("roll", ROLLS)
    def test_least_squares_find_what_made_the_points(self, roll):
        made = CropTransform(3.0, -4.0, 0.7, roll)
        points = RANDOM.uniform(0, 100, (5, 2))
        found = CropTransform.between(points, made.to_crop(points))
        assert (found.left, found.top, found.scale) == pytest.approx((3.0, -4.0, 0.7))
        assert (found.roll - roll + 180) % 360 == pytest.approx(180)

    def test_least_squares_have_the_least_squares(self):
        points, target = RANDOM.uniform(0, 100, (2, 7, 2))

        def error(transform: CropTransform) -> float:
            return float(np.square(transform.to_crop(points) - target).sum())

        best = CropTransform.between(points, target)
        for field, step in (("left", 0.3), ("top", 0.3), ("scale", 0.003), ("roll", 0.3)):
            for sign in (-1, 1):
                other = {**best.__dict__, field: getattr(best, field) + sign * step}
                assert error(CropTransform(**other)) > error(best)

    def test_equal_points_say_nothing(self):
        with pytest.raises(ValueError, match="points that differ"):
            CropTransform.between(np.ones((5, 2)), RANDOM.uniform(size=(5, 2)))

    def test_tensors_keep_their_type_and_gradient(self):
        points = torch.tensor([[2.0, 3.0]], dtype=torch.float64, requires_grad=True)
        result = CropTransform(1.0, 2.0, 4.0, 90.0).to_crop(points)
        result.sum().backward()
        assert result.dtype == torch.float64
        assert result.tolist() == [[4.0, -4.0]]
        assert points.grad.tolist() == [[-4.0, 4.0]]


class TestResampleUnturned:
    def test_same_size_on_the_pixel_grid_is_a_copy(self):
        photo = RANDOM.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        crop, transform = cut(photo, (40.0, 30.0), 20.0, 20)
        assert np.array_equal(crop, photo[20:40, 30:50])
        assert transform == CropTransform(30.0, 20.0, 1.0)

    def test_halving_on_the_pixel_grid_averages(self):
        photo = RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        crop, _ = cut(photo, (20.0, 20.0), 40.0, 20)
        averages = photo.reshape(20, 2, 20, 2, 3).mean(axis=(1, 3))
        assert np.abs(crop - averages).max() <= 0.5

    @pytest.mark.parametrize("side", [40.0, 61.3, 97.0, 100.0, 173.9, 321.7])
    @pytest.mark.parametrize("centre", [(150.0, 150.0), (163.31, 141.77)])
    def test_a_dot_lands_where_the_transform_says(self, side, centre):
        dot = (centre[0] + 0.11 * side, centre[1] - 0.17 * side)
        crop, transform = cut(dots(320, 300, dot, radius=0.12 * side), centre, side, 100)
        np.testing.assert_allclose(centroid(crop), transform.to_crop(np.array(dot)), atol=0.06)
        np.testing.assert_allclose(centroid(crop), [50 + 11, 50 - 17], atol=0.06)

    def test_shrinking_averages_instead_of_skipping_pixels(self):
        stripes = np.zeros((400, 400, 3), dtype=np.uint8)
        stripes[:, ::2] = 255
        crop, _ = cut(stripes, (200.0, 200.0), 390.0, 61)
        assert np.abs(crop.astype(int) - 127.5).max() < 30

    @pytest.mark.parametrize(("side", "size"), [(40.0, 40), (40.0, 20), (40.0, 111)])
    def test_borders_are_repeated(self, side, size):
        photo = np.empty((20, 20, 3), dtype=np.uint8)
        photo[:] = RANDOM.integers(0, 256, (1, 20, 3))  # columns differ, rows do not
        crop, _ = cut(photo, (0.0, 10.0), side, size)
        border = photo[0, : max(1, round(side / size))].mean(axis=0)  # one pixel of the crop's size
        assert np.abs(crop[:, : int(0.45 * size)] - border).max() <= 1
        assert np.abs(crop.astype(int) - crop[:1]).max() <= 1

    def test_a_square_far_outside_shows_the_nearest_corner(self):
        photo = RANDOM.integers(0, 256, (30, 30, 3), dtype=np.uint8)
        assert (cut(photo, (500.0, -400.0), 50.0, 10)[0] == photo[0, -1]).all()

    def test_a_photograph_of_one_pixel(self):
        photo = np.array([[[1, 2, 3]]], dtype=np.uint8)
        assert (cut(photo, (0.5, 0.5), 7.0, 16)[0] == [1, 2, 3]).all()
        assert (cut(photo, (0.5, 0.5), 300.0, 16)[0] == [1, 2, 3]).all()

    def test_only_the_square_is_read(self):
        # A part is resampled, not the photograph: its place in a larger one changes nothing.
        photo = RANDOM.integers(0, 256, (300, 300, 3), dtype=np.uint8)
        larger = cv2.copyMakeBorder(photo, 100, 0, 200, 0, cv2.BORDER_CONSTANT)
        first, second = cut(photo, (151.0, 149.0), 123.0, 60)[0], cut(larger, (351.0, 249.0), 123.0, 60)[0]
        assert np.array_equal(first, second)


class TestResample:
    @pytest.mark.parametrize(("roll", "quarters"), [(90.0, 1), (180.0, 2), (-90.0, 3)])
    def test_quarter_turns_on_the_pixel_grid_are_copies(self, roll, quarters):
        photo = RANDOM.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        crop = resample(photo, CropTransform.around((40.0, 30.0), 20.0, roll, 20), 20)
        assert np.array_equal(crop, np.rot90(photo[20:40, 30:50], quarters))

    @pytest.mark.parametrize("roll", ROLLS)
    @pytest.mark.parametrize("side", [61.3, 100.0, 173.9])
    def test_a_dot_lands_where_the_transform_says(self, side, roll):
        transform = CropTransform.around((163.31, 141.77), side, roll, 100)
        x, y = transform.to_photo(np.array([61.0, 33.0]))
        crop = resample(dots(320, 300, (x, y), radius=0.12 * side), transform, 100)
        np.testing.assert_allclose(centroid(crop), [61, 33], atol=0.06)

    def test_shrinking_averages_instead_of_skipping_pixels(self):
        stripes = np.zeros((400, 400, 3), dtype=np.uint8)
        stripes[:, ::2] = 255
        crop = resample(stripes, CropTransform.around((200.0, 200.0), 250.0, 30.0, 40), 40)
        assert np.abs(crop.astype(int) - 127.5).max() < 40

    def test_far_outside_the_nearest_corner_is_repeated(self):
        photo = RANDOM.integers(0, 256, (30, 30, 3), dtype=np.uint8)
        assert (resample(photo, CropTransform.around((500.0, -400.0), 50.0, 30.0, 10), 10) == photo[0, -1]).all()
