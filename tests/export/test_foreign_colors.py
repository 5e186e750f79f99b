"""Teeth keep their own color where the photograph has a lip, and take the photograph's where it has teeth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data.crop_transform import CropTransform
from mofa3d.export import find_texels
from mofa3d.export.photo_texture import View, photo_texture
from mofa3d.export.texture_layout import texture_layout
from mofa3d.fitting.delighting import HUE, ReflectanceSamples, of_everybody, typical_ratio, without_foreign
from mofa3d.harmonics import irradiance
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize

CROP = 240
TEETH = (0.75, 0.7, 0.62)
LIP = (0.6, 0.3, 0.28)


@pytest.fixture
def toothed():
    """A tiny face, and which of its vertices are white in everybody."""
    model = make_tiny_model(40)
    teeth = model.mean_shape[:, :2].square().sum(dim=1).sqrt() < 25
    model.reflectance_basis[teeth] = 0.0
    model.mean_reflectance[teeth] = torch.tensor(TEETH)
    return model, teeth


def test_only_what_does_not_vary_is_of_everybody(toothed):
    model, teeth = toothed
    assert torch.equal(of_everybody(model), teeth)
    model.reflectance_basis[:] = 0.0
    assert not of_everybody(model).any()


def test_hue_tells_what_is_foreign_and_lightness_does_not():
    own = torch.tensor(TEETH).expand(4, 3)
    colors = torch.stack([own[0], own[0] * 0.4, torch.tensor(LIP), torch.tensor(LIP)])
    samples = ReflectanceSamples(colors[None], torch.full((1, 4), 0.8))
    fixed = torch.tensor([True, True, True, False])
    kept = without_foreign(samples, own, fixed, torch.zeros(3)).weights
    torch.testing.assert_close(kept, torch.tensor([[0.8, 0.8, 0.0, 0.8]]))
    # A photograph with a cast: everything in it has the lip's hue.
    cast = torch.log(torch.tensor(LIP) / own[0])
    kept = without_foreign(samples, own, fixed, cast).weights
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0.0, 0.8, 0.8]]))
    assert cast.max() - cast.min() > HUE


def test_typical_ratio_is_that_of_the_vertices_that_count():
    own = torch.full((3, 3), 0.5)
    samples = ReflectanceSamples(torch.tensor([[[0.6, 0.5, 0.4], [0.6, 0.5, 0.4], [0.1, 0.9, 0.1]]]), torch.ones(1, 3))
    found = typical_ratio(samples, own, torch.tensor([True, True, False]))
    torch.testing.assert_close(found.exp(), torch.tensor([1.2, 1.0, 0.8]))
    assert torch.equal(typical_ratio(samples, own, torch.zeros(3, dtype=torch.bool)), torch.zeros(3))


@pytest.mark.parametrize(("shown", "expected"), [(LIP, TEETH), ((0.6, 0.56, 0.5), (0.6, 0.56, 0.5))])
def test_a_lip_before_the_teeth_does_not_color_them(toothed, shown, expected):
    model, teeth = toothed
    code = SemanticCode.zeros(1, model.sizes)
    scene = Decoder(model, Camera(CROP))(code)
    reflectance = scene.reflectance.clone()
    reflectance[0, teeth] = torch.tensor(shown)
    colors = reflectance * irradiance(scene.normals, scene.illumination)
    truth = replace(scene, reflectance=reflectance, colors=colors)
    image = make_renderer("cpu")(truth).image[0, :3].permute(1, 2, 0).numpy()
    photo = np.round(255 * image).astype(np.uint8)
    texels = find_texels(texture_layout(model), 128, rasterize)
    texture = photo_texture([View(scene, photo, CropTransform(0, 0, 1.0))], model, texels, rasterize)
    middle = texels.interpolate(model.mean_shape)[:, :2].square().sum(dim=1).sqrt().numpy() < 15
    found = texture[texels.covered][middle] / 255
    assert middle.sum() > 50
    np.testing.assert_allclose(np.median(found, axis=0), expected, atol=0.02)
