"""Crops: where every pixel comes from, to a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mofa3d.data.crop import CROP_SCALE, CROP_SHIFT, IMAGE_SIZE, CropTransform, calibrate, crop_face, cut
from mofa3d.data.detect import FaceBox

RANDOM = np.random.default_rng(0)


def dots(height: int, width: int, *centres: tuple[float, float], radius: float = 6.0) -> np.ndarray:
    """Soft white dots on black, whose centroids are exact to a hundredth of a pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    grey = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (radius / 2) ** 2)) for cx, cy in centres)
    return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)[..., None].repeat(3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weight = image[..., 0].astype(float)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


class TestCropTransform:
    def test_corner_and_scale(self):
        transform = CropTransform(left=10.0, top=-20.0, scale=2.0)
        assert transform.to_crop(np.array([[10.0, -20.0], [13.0, 0.0]])).tolist() == [[0, 0], [6, 40]]
        assert transform.to_photo(np.array([6.0, 40.0])).tolist() == [13, 0]

    @pytest.mark.parametrize("scale", [0.037, 1.0, 6.4])
    def test_inverse(self, scale):
        transform = CropTransform(-13.7, 250.2, scale)
        points = RANDOM.uniform(-100, 4000, (5, 68, 2))
        np.testing.assert_allclose(transform.to_photo(transform.to_crop(points)), points, rtol=0, atol=1e-9)

    def test_tensors_keep_their_type_and_gradient(self):
        transform = CropTransform(1.0, 2.0, 4.0)
        points = torch.tensor([[2.0, 3.0]], dtype=torch.float64, requires_grad=True)
        result = transform.to_crop(points)
        result.sum().backward()
        assert result.dtype == torch.float64
        assert result.tolist() == [[4.0, 4.0]]
        assert points.grad.tolist() == [[4.0, 4.0]]


class TestCut:
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


class TestCropFace:
    def test_size_and_place(self):
        box = FaceBox(x=200.0, y=150.0, size=80.0, votes=9)
        crop, transform = crop_face(np.zeros((300, 400, 3), dtype=np.uint8), box)
        assert crop.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
        side = CROP_SCALE * 80
        assert transform.scale == pytest.approx(IMAGE_SIZE / side)
        middle = transform.to_photo(np.array([IMAGE_SIZE / 2, IMAGE_SIZE / 2]))
        np.testing.assert_allclose(middle, [200, 150 + CROP_SHIFT * 80])

    def test_a_larger_photograph_gives_the_same_crop(self):
        small = dots(120, 120, (50.0, 70.0), (75.0, 52.0), radius=9)
        large = cv2.resize(small, (480, 480), interpolation=cv2.INTER_CUBIC)
        one = crop_face(small, FaceBox(60.0, 58.0, 50.0, 1))[0]
        other = crop_face(large, FaceBox(240.0, 232.0, 200.0, 1))[0]
        assert np.abs(one.astype(int) - other).max() < 12
        np.testing.assert_allclose(centroid(one), centroid(other), atol=0.05)


class TestCalibrate:
    TARGET = RANDOM.uniform(60, 180, (46, 2))

    def corpus(self, scale: float, shift: float, noise: float = 0.0) -> tuple[np.ndarray, list[FaceBox]]:
        """Faces whose calibrated crop shows the target."""
        random = np.random.default_rng(1)
        boxes = [FaceBox(*random.uniform(100, 900, 2), random.uniform(30, 400), 1) for _ in range(31)]
        faces = []
        for box in boxes:
            points = (self.TARGET - 120) / 240 * scale * box.size + (box.x, box.y + shift * box.size)
            faces.append(points + noise * box.size * random.normal(size=points.shape))
        return np.array(faces), boxes

    @pytest.mark.parametrize(("scale", "shift"), [(1.325, 0.148), (2.0, -0.3)])
    def test_known_constants(self, scale, shift):
        assert calibrate(*self.corpus(scale, shift), self.TARGET, 240) == pytest.approx((scale, shift), abs=1e-9)

    def test_noise_averages_out(self):
        found = calibrate(*self.corpus(1.4, 0.1, noise=0.03), self.TARGET, 240)
        assert found == pytest.approx((1.4, 0.1), abs=0.015)

    def test_wrong_detections_do_not_count(self):
        landmarks, boxes = self.corpus(1.4, 0.1)
        boxes[:9] = [FaceBox(5.0, 5.0, 40.0, 1)] * 9
        assert calibrate(landmarks, boxes, self.TARGET, 240) == pytest.approx((1.4, 0.1), abs=1e-9)
