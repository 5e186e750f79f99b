"""Drawings say what the geometry is, whatever the face's colors and light."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.evaluation.comparison.networks.richardson import draw_feedback
from mofa3d.renderers import make_renderer

SIZE = 48


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(24), Camera(SIZE))


def drawing(kind, decode, code=None):
    code = code or SemanticCode.zeros(1, decode.model.sizes)
    return draw_feedback(kind, decode, make_renderer("cpu", antialias=False))(code)


def test_normals(decode):
    picture = drawing("normals", decode)
    assert picture.shape == (1, 4, SIZE, SIZE)
    middle = SIZE // 2
    # The tip of the ellipsoid looks at the camera.
    torch.testing.assert_close(picture[0, :, middle, middle], torch.tensor([0.5, 0.5, 1.0, 1.0]), atol=0.05, rtol=0)
    assert picture[0, 0, middle, middle + 8] > 0.6  # its side to the right looks right
    assert picture[0, 1, middle - 8, middle] > 0.6  # and its upper part up
    assert float(picture[0, :, 0, 0].abs().max()) == 0


def test_depth(decode):
    picture = drawing("depth", decode)
    middle = SIZE // 2
    # The tip is 70 mm before the origin: (70 / 100 + 1) / 2.
    assert picture[0, :3, middle, middle].tolist() == pytest.approx([0.85] * 3, abs=0.01)
    moved = SemanticCode.zeros(1, decode.model.sizes)
    moved = moved.replace(translation=torch.tensor([[0.0, 0.0, 20.0]]))  # 20 mm away from the camera
    assert float(drawing("depth", decode, moved)[0, 0, middle, middle]) == pytest.approx(0.75, abs=0.01)


def test_colors_and_light_do_not_matter(decode):
    sizes = decode.model.sizes
    code = SemanticCode.zeros(1, sizes)
    other = code.replace(reflectance=torch.ones(1, sizes.reflectance), illumination=torch.full((1, 9, 3), 0.2))
    assert torch.equal(drawing("normals", decode, code), drawing("normals", decode, other))


def test_unknown_kind(decode):
    with pytest.raises(ValueError, match="unknown feedback 'oil'; there are normals, depth"):
        drawing("oil", decode)
