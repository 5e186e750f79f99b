"""Errors and sharpness of images, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from mofa3d.evaluation.comparison.pixels.errors import color_distance, detail, gradient_product, sharpness


def stripes(low: float, high: float) -> torch.Tensor:
    """Columns of two greys in turn."""
    row = torch.tensor([low, high] * 4)
    return row.expand(1, 3, 8, 8).clone()


def test_distance_is_the_mean_over_the_region():
    photo = torch.zeros(1, 3, 2, 2)
    image = torch.zeros(1, 3, 2, 2)
    image[0, :, 0, 0] = torch.tensor([0.3, 0.4, 0.0])  # ‖·‖ = 0.5
    image[0, :, 1, 1] = 1.0  # outside
    region = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert float(color_distance(image, photo, region)) == pytest.approx(0.25, abs=1e-5)
    assert float(color_distance(image, photo, torch.zeros_like(region))) == 0


def test_distance_has_a_gradient_at_a_perfect_match():
    image = torch.zeros(1, 3, 2, 2, requires_grad=True)
    color_distance(image, torch.zeros(1, 3, 2, 2), torch.ones(1, 2, 2)).sum().backward()
    assert float(image.grad.abs().max()) == 0


def test_gradient_energy_of_stripes():
    whole = torch.ones(1, 8, 8)
    # All 56 pairs across differ by 0.5, all 56 pairs down by nothing.
    image = stripes(0.2, 0.7)
    assert float(gradient_product(image, image, whole)) == pytest.approx(0.125, rel=1e-5)
    column = torch.zeros(1, 8, 8)
    column[:, :, 3] = 1
    assert float(gradient_product(image, image, column)) == 0  # no pair across lies inside


def test_sharpness_and_detail():
    whole, photo = torch.ones(1, 8, 8), stripes(0.2, 0.7)
    for image, sharp, same in (
        (photo, 1, 1),
        (stripes(0.3, 0.55), 0.25, 0.5),  # half the contrast
        (stripes(0.7, 0.2), 1, -1),  # as sharp, and wrong
        (photo.mT, 1, 0),  # stripes across
        (torch.full_like(photo, 0.4), 0, 0),
    ):
        assert float(sharpness(image, photo, whole)) == pytest.approx(sharp, abs=1e-5)
        assert float(detail(image, photo, whole)) == pytest.approx(same, abs=1e-5)
