"""Light on a known face comes back from its picture."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.evaluation.comparison.networks.light import estimate_light, with_light
from mofa3d.renderers import make_renderer

SIZE = 96


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(24), Camera(SIZE))


def lit(decode, seed=0):
    """A random face of average reflectance, and its photograph."""
    code = make_code(2, seed=seed, dtype=torch.float32)
    code = code.replace(reflectance=torch.zeros_like(code.reflectance), illumination=0.4 * code.illumination)
    with torch.no_grad():
        return code, make_renderer("cpu", antialias=False)(decode(code)).image[:, :3]


def dark(code):
    return code.replace(illumination=torch.zeros_like(code.illumination))


def test_light_comes_back(decode):
    code, image = lit(decode)
    found = code.replace(illumination=estimate_light(decode(dark(code)), image))
    seen = decode(code).front_facing & decode.model.frontal
    off = (decode(found).colors - decode(code).colors)[seen].abs()
    before = (decode(dark(code)).colors - decode(code).colors)[seen].abs()
    assert float(off.mean()) < 0.012
    assert float(off.mean()) < 0.25 * float(before.mean())


def test_images_do_not_disturb_each_other(decode):
    code, image = lit(decode)
    scene = decode(dark(code))
    alone = estimate_light(decode(dark(code[1:])), image[1:])
    torch.testing.assert_close(estimate_light(scene, image)[1:], alone, atol=1e-4, rtol=1e-3)


def test_a_face_outside_the_photograph_keeps_its_light(decode):
    code, image = lit(decode)
    away = dark(code).replace(translation=torch.full_like(code.translation, -5000.0))
    assert float(estimate_light(decode(away), image).abs().max()) == 0


def test_an_encoder_gets_the_best_light_and_keeps_the_rest(decode):
    code, image = lit(decode)
    encode = with_light(lambda image: dark(code).to_vector(), decode)
    found = SemanticCode.from_vector(encode(image), decode.model.sizes)
    torch.testing.assert_close(found.to_vector()[:, :-27], code.to_vector()[:, :-27])
    render = make_renderer("vertex")
    errors = [losses.photometric(render(decode(c)), image).mean() for c in (dark(code), found)]
    assert float(errors[1]) < 0.3 * float(errors[0])
