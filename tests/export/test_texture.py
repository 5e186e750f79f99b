"""What is baked into a texture is found again where the layout says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.export import bake, find_texels
from mofa3d.export.texture_layout import texture_layout
from mofa3d.renderers.cpu_rasterizer import rasterize

SIZE = 64


@pytest.fixture
def layout(tiny_model):
    return texture_layout(tiny_model)


@pytest.fixture
def texels(layout):
    return find_texels(layout, SIZE, rasterize)


def test_a_linear_function_of_the_coordinates_comes_back(layout, texels):
    u, v = layout.uv.unbind(1)
    values = torch.stack([u, v, 0.5 * (u + v)], dim=1)  # the layout of this model has its vertices
    image = texels.image(texels.interpolate(values).numpy())
    row, column = np.mgrid[:SIZE, :SIZE] + 0.5
    expected = np.stack([column / SIZE, 1 - row / SIZE], axis=-1)
    np.testing.assert_allclose(image[texels.covered][:, :2], expected[texels.covered], atol=1e-5)
    low, high = layout.uv.min(dim=0).values, layout.uv.max(dim=0).values
    assert texels.covered.mean() == pytest.approx(float((high - low).prod()), rel=0.05)  # this chart is a rectangle


def test_other_texels_repeat_the_nearest_one(texels):
    number = np.arange(int(texels.covered.sum()), dtype=np.float32)[:, None]
    image = texels.image(number)[..., 0].astype(int)
    rows, columns = np.nonzero(texels.covered)
    outside = np.argwhere(~texels.covered)
    assert len(outside) > 50
    for row, column in outside[::7]:
        distance = np.hypot(rows - row, columns - column)
        assert distance[image[row, column]] < distance.min() + 1


def test_bytes_are_rounded_and_clamped(texels):
    image = bake(texels, torch.tensor([-1.0, 0.6, 2.0], requires_grad=True).expand(144, 3))
    assert image.shape == (SIZE, SIZE, 3)
    assert (image == [0, 153, 255]).all()


@pytest.mark.parametrize("size", [8, 100_000])
def test_too_small_or_large(layout, size):
    with pytest.raises(ValueError, match=f"texels along each side of a texture is {size:g}; give .* 16 to 4096"):
        find_texels(layout, size, rasterize)
