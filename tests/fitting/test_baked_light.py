"""The light that a reflectance contains is found, and what is no light stays."""

from __future__ import annotations

import pytest
import torch

from mofa3d.fitting import baked_light as module
from mofa3d.fitting.baked_light import MOST, bare_skin, shading_of_skin, skin_areas, smooth_functions
from mofa3d.fitting.skin_tone import cheek_vertices

SKIN = torch.tensor([0.7, 0.5, 0.4])


def baked_light(model, mean: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return module.baked_light(model, mean, seen, skin_areas(model)[seen])


def shaded(model, strength: float) -> torch.Tensor:
    """A light from the front, as the logarithm of what it multiplies skin by."""
    functions = smooth_functions(model, model.frontal)
    return strength * (functions[:, 2] / functions[:, 2].max() - 1).float()


def test_a_light_from_the_front_is_found(default_model):
    light = shaded(default_model, 0.3)
    found = baked_light(default_model, SKIN * light.exp()[:, None], default_model.frontal)
    cheeks = cheek_vertices(default_model)[default_model.frontal]
    expected = (light - light[cheeks].mean()).exp().clamp(1 / MOST, MOST)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
    assert float(expected.min()) < 0.9


def test_even_skin_stays_and_so_do_features(default_model):
    mean = SKIN.expand(int(default_model.frontal.sum()), 3).clone()
    torch.testing.assert_close(baked_light(default_model, mean, default_model.frontal), torch.ones(len(mean)))
    bare = bare_skin(default_model)[default_model.frontal]
    assert 0.2 < float(bare.float().mean()) < 0.8
    mean[~bare] = 0.1  # brows, eyes and lips
    chin = default_model.mean_shape[default_model.frontal][:, 1] < -50
    mean[chin] *= 0.6  # a beard
    found = baked_light(default_model, mean, default_model.frontal)
    assert float((found - 1).abs().max()) < 0.05


def test_the_limit(default_model):
    found = baked_light(default_model, SKIN * shaded(default_model, 2.0).exp()[:, None], default_model.frontal)
    assert float(found.min()) == pytest.approx(1 / MOST)


def test_shading_is_measured_as_a_root_mean_square_over_skin(default_model):
    light, region = shaded(default_model, 0.1), default_model.frontal
    basis = torch.zeros(*default_model.mean_shape.shape, 2)
    basis[region, :, 0] = light[:, None]  # shading
    basis[region, :, 1] = 0.1  # even skin
    found = shading_of_skin(default_model.with_reflectance(default_model.mean_reflectance, basis))
    bare = bare_skin(default_model)[region]
    assert float(found[:, 1].norm()) == pytest.approx(0, abs=1e-4)
    assert float(found[:, 0].norm()) == pytest.approx(float(light[bare].std()), rel=0.25)  # of vertices, not of areas
