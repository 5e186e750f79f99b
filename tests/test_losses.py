"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_model import make_code

from mofa3d import losses
from mofa3d.scene import Rendering
from mofa3d.semantic_code import CodeSizes, SemanticCode


def ramp(height: int = 6, width: int = 8) -> torch.Tensor:
    """An image whose colors are linear in the position: red = x, green = y, blue = x + 2y, at the pixel centres."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y, x + 2 * y])[None] / 20


class TestSample:
    def test_pixel_centres_return_the_pixels(self):
        image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        centres = torch.tensor([[[0.5, 0.5], [4.5, 0.5], [2.5, 3.5]]], dtype=torch.float64)
        samples = losses.sample(image, centres)
        expected = torch.stack([image[0, :, 0, 0], image[0, :, 0, 4], image[0, :, 3, 2]], dim=-1)
        torch.testing.assert_close(samples[0], expected, atol=1e-12, rtol=0)

    def test_between_the_centres_a_linear_image_is_exact(self):
        positions = torch.tensor([[[1.25, 4.0], [7.1, 0.9]]])
        samples = losses.sample(ramp(), positions)
        expected = torch.tensor([[1.25, 7.1], [4.0, 0.9], [9.25, 8.9]]) / 20
        torch.testing.assert_close(samples[0], expected, atol=1e-6, rtol=0)

    def test_the_border_extends_outwards(self):
        samples = losses.sample(ramp(), torch.tensor([[[0.0, 3.5], [-9.0, 3.5], [99.0, 3.5]]]))
        torch.testing.assert_close(samples[0, 0], torch.tensor([0.5, 0.5, 7.5]) / 20, atol=1e-6, rtol=0)

    def test_gradient_is_the_slope_of_the_image(self):
        positions = torch.tensor([[[3.2, 2.7]]], requires_grad=True)
        losses.sample(ramp(), positions)[0, 2, 0].backward()
        torch.testing.assert_close(positions.grad, torch.tensor([[[1.0, 2.0]]]) / 20, atol=1e-6, rtol=0)


def test_inside_includes_the_border():
    positions = torch.tensor([[[0.0, 0.0], [8.0, 6.0], [8.01, 3.0], [3.0, 6.01], [-0.01, 1.0]]])
    assert losses.inside(positions, ramp()).tolist() == [[True, True, False, False, False]]


class TestPhotometric:
    def rendering(self, **changes) -> Rendering:
        values = {
            "positions": torch.tensor([[[2.5, 1.5], [4.5, 2.5], [100.0, 1.0], [1.5, 1.5]]]),
            "colors": torch.tensor([[[0.3, 0.0, 0.4], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]),
            "weights": torch.tensor([[0.25, 0.5, 0.25, 0.0]]),
        }
        return Rendering(**{**values, **changes})

    def test_weighted_distances_inside_the_image(self):
        image = torch.zeros(1, 3, 6, 8)
        image[0, 1, 2, 4] = 0.6  # the second sample's pixel
        # 0.25 · |(0.3, 0, 0.4)| + 0.5 · 0.6; the third sample lies outside, the fourth weighs nothing.
        value = losses.photometric(self.rendering(), image)
        torch.testing.assert_close(value, torch.tensor([0.425]), atol=1e-6, rtol=0)

    def test_background_cost_lowers_every_sample_that_counts(self):
        value = losses.photometric(self.rendering(), torch.zeros(1, 3, 6, 8), background_cost=0.2)
        torch.testing.assert_close(value, torch.tensor([0.25 * (0.5 - 0.2) - 0.5 * 0.2]), atol=1e-6, rtol=0)

    def test_images_of_a_batch_are_apart(self):
        one = self.rendering()
        two = Rendering(*(torch.cat([t, t]) for t in (one.positions, one.colors, one.weights)))
        image = torch.stack([torch.zeros(3, 6, 8), torch.ones(3, 6, 8)])
        both = losses.photometric(two, image)
        torch.testing.assert_close(both[:1], losses.photometric(one, image[:1]))
        torch.testing.assert_close(both[1:], losses.photometric(one, image[1:]))
        assert both[0] != both[1]

    def test_gradient_has_length_one_per_weight_and_is_finite_at_a_perfect_match(self):
        colors = self.rendering().colors.clone().requires_grad_()
        losses.photometric(self.rendering(colors=colors), torch.zeros(1, 3, 6, 8)).sum().backward()
        torch.testing.assert_close(colors.grad[0, 0], 0.25 * torch.tensor([0.6, 0.0, 0.8]), atol=1e-6, rtol=0)
        assert torch.equal(colors.grad[0, 1:], torch.zeros(3, 3))  # exact match, outside, weight 0


class TestLandmark:
    def test_the_46_points(self):
        points = set(losses.LANDMARKS_46)
        assert len(losses.LANDMARKS_46) == len(points) == 46
        assert points == set(range(68)) - set(range(7)) - set(range(10, 17)) - set(range(60, 68))

    def test_squares_in_half_image_widths_weighted_with_the_confidence(self):
        projected, detected, confidence = torch.zeros(1, 68, 2), torch.zeros(1, 68, 2), torch.ones(1, 68)
        projected[0, 30] = torch.tensor([12.0, 16.0])  # 20 px away, of 120: (1/6)²
        projected[0, 8] = torch.tensor([0.0, 60.0])  # (1/2)², half trusted
        projected[0, 0] = 1000.0  # on the contour, which is not used
        projected[0, 62] = 1000.0  # nor are the inner lips
        projected[0, 40], confidence[0, 40] = 1000.0, 0.0  # nor is what was not detected
        confidence[0, 8] = 0.5
        value = losses.landmark(projected, detected, confidence, 240)
        torch.testing.assert_close(value, torch.tensor([1 / 36 + 0.125]), atol=1e-6, rtol=0)

    def test_same_value_at_any_resolution(self):
        generator = torch.Generator().manual_seed(0)
        ours, theirs = torch.rand(2, 68, 2, generator=generator), torch.rand(2, 68, 2, generator=generator)
        small = losses.landmark(ours * 64, theirs * 64, torch.ones(2, 68), 64)
        large = losses.landmark(ours * 240, theirs * 240, torch.ones(2, 68), 240)
        torch.testing.assert_close(small, large)


def test_regularizer_by_hand():
    code = SemanticCode.zeros(2, CodeSizes(5, 4, 6))
    code = code.replace(
        shape=torch.tensor([[1.0, -2, 0, 0, 0], [0, 0, 0, 0, 0]]),
        expression=torch.tensor([[0.0, 0, 3, 0], [0, 0, 0, 0]]),
        reflectance=torch.tensor([[10.0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]),
        rotation=torch.ones(2, 3),
        translation=torch.ones(2, 3),
        illumination=torch.ones(2, 9, 3),
    )
    expected = torch.tensor([5 + 0.8 * 9 + 1.7e-3 * 100, 1.7e-3])
    torch.testing.assert_close(losses.regularizer(code), expected)


def test_the_distance_is_not_squared():
    rendering = Rendering(torch.full((1, 1, 2), 2.5), torch.ones(1, 1, 3), torch.ones(1, 1))
    value = float(losses.photometric(rendering, torch.zeros(1, 3, 5, 5)))
    assert value == pytest.approx(math.sqrt(3))


def test_coloured_light_is_the_square_distance_from_grey():
    code = make_code(2, dtype=torch.float64)
    light = torch.zeros(2, 9, 3, dtype=torch.float64)
    light[0, 0] = torch.tensor([0.3, 0.0, 0.0])  # grey would be 0.1: 0.2² + 0.1² + 0.1²
    light[0, 4] = 0.7  # white
    light[1, 8] = torch.tensor([0.0, 0.1, -0.1])
    values = losses.coloured_light(code.replace(illumination=light))
    torch.testing.assert_close(values, torch.tensor([0.06, 0.02], dtype=torch.float64))


class TestLipClosure:
    def closure(self, projected, detected=None, confidence=None) -> float:
        detected = torch.zeros(1, 68, 2) if detected is None else detected
        confidence = torch.ones(1, 68) if confidence is None else confidence
        return float(losses.lip_closure(projected, detected, confidence, 240))

    def test_opening_in_half_image_widths(self):
        projected = torch.zeros(1, 68, 2)
        projected[0, 66] = torch.tensor([0.0, 12.0])  # 12 px open, of 120
        assert self.closure(projected) == pytest.approx(0.01)
        projected[0, 67] = torch.tensor([6.0, 0.0])
        assert self.closure(projected) == pytest.approx(0.01 + 0.0025)

    def test_where_the_mouth_is_does_not_matter(self):
        generator = torch.Generator().manual_seed(0)
        points = 240 * torch.rand(1, 68, 2, generator=generator)
        assert self.closure(points + torch.tensor([5.0, -9.0]), points) == pytest.approx(0, abs=1e-10)

    def test_both_points_of_a_pair_must_be_trusted(self):
        projected, confidence = torch.zeros(1, 68, 2), torch.ones(1, 68)
        projected[0, 62, 1] = 60.0
        confidence[0, 62], confidence[0, 66] = 0.5, 0.8
        assert self.closure(projected, confidence=confidence) == pytest.approx(0.25 * 0.4)
        confidence[0, 66] = 0.0
        assert self.closure(projected, confidence=confidence) == 0
