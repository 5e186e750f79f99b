"""Reflectance comes back out of rendered photographs of known light."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_model import TEETH, make_code, make_tiny_model, make_toothed_model

from mofa3d import Camera, Decoder
from mofa3d.fitting.delighting import (
    HUE,
    ReflectanceSamples,
    delight,
    divide_light,
    facing,
    front_light,
    of_everybody,
    symmetrize,
    typical_ratio,
    unoccluded,
    without_foreign,
)
from mofa3d.renderers import make_renderer

SIZE = 96
LIP = (0.6, 0.3, 0.28)
SKIN, COLLAR = (0.7, 0.52, 0.43), (0.95, 0.95, 0.98)


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(40, dtype=torch.float64), Camera(SIZE))


def grey_light(code):
    return code.replace(illumination=code.illumination.mean(dim=2, keepdim=True).expand(-1, -1, 3).clone())


def sampled(decode, code):
    scene = decode(code)
    image = make_renderer("cpu", antialias=False)(scene).image
    return scene, delight(scene, image[:, :3], scene.front_facing)


def test_reflectance_of_rendered_faces_comes_back(decode):
    scene, samples = sampled(decode, grey_light(make_code(2)))
    counted = (samples.weights > 0) & scene.frontal
    assert counted.sum() > 0.5 * len(scene) * scene.frontal.sum()
    difference = (samples.colors - scene.reflectance).abs().amax(dim=2)[counted]
    assert difference.median() < 0.005
    assert difference.quantile(0.95) < 0.03


def test_brightness_of_the_light_does_not_matter(decode):
    code = grey_light(make_code(1))
    brighter = code.illumination.clone()
    brighter[:, 0] += 0.15
    _, samples = sampled(decode, code)
    _, others = sampled(decode, code.replace(illumination=brighter))
    both = (samples.weights > 0) & (others.weights > 0)
    torch.testing.assert_close(samples.colors[both], others.colors[both], atol=0.02, rtol=0)


def test_a_color_cast_stays_when_the_light_is_taken_for_white(decode):
    code = grey_light(make_code(1))
    cast = code.illumination.clone()
    cast[:, 0] += torch.tensor([0.1, 0.0, -0.1])
    _, samples = sampled(decode, code)
    _, others = sampled(decode, code.replace(illumination=cast))
    both = (samples.weights > 0) & (others.weights > 0)
    ratio = (others.colors / samples.colors.clamp_min(1e-3))[both].median(dim=0).values
    assert ratio[0] > 1.05
    assert ratio[1] == pytest.approx(1, abs=0.01)
    assert ratio[2] < 0.95


def test_what_is_hidden_dark_turned_away_or_overexposed_weighs_nothing(decode):
    scene = decode(make_code(1))
    white = torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)
    assert not delight(scene, white, torch.zeros_like(scene.front_facing)).weights.any()
    assert (delight(scene, 0.3 * white, scene.front_facing).weights[facing(scene) < 0.2] == 0).all()
    light = torch.zeros(1, 9, 3, dtype=torch.float64)
    even = decode(make_code(1).replace(illumination=light))
    assert delight(even, 0.3 * white, even.front_facing).weights.any()
    light[:, 0] = -0.5  # leaves an irradiance of 0.2
    night = decode(make_code(1).replace(illumination=light))
    assert not delight(night, 0.3 * white, night.front_facing).weights.any()
    light[:, 0] = -0.3  # 0.4: white there would be a reflectance of 2.5
    dim = decode(make_code(1).replace(illumination=light))
    assert not delight(dim, white, dim.front_facing).weights.any()


def test_facing_is_the_cosine_to_the_camera(decode):
    scene = decode(make_code(2))
    cosine = facing(scene)
    assert torch.equal(cosine > 0, scene.front_facing)
    assert cosine.abs().max() <= 1 + 1e-9
    straight = decode(make_code(1).replace(rotation=torch.zeros(1, 3).double(), translation=torch.zeros(1, 3).double()))
    centre = straight.positions[0, :, :2].norm(dim=1).argmin()
    assert facing(straight)[0, centre] == pytest.approx(float(straight.normals[0, centre, 2]), abs=0.02)


def test_sides_fill_in_for_each_other():
    colors = torch.tensor([[[0.2] * 3, [0.6] * 3, [0.5] * 3, [9.0] * 3]])
    weights = torch.tensor([[1.0, 0.5, 0.8, 0.0]])
    mirror = torch.tensor([1, 0, 3, 2])
    found = symmetrize(ReflectanceSamples(colors, weights), mirror)
    middle = (0.2 + 0.5 * 0.6) / 1.5
    torch.testing.assert_close(found.colors[0, :, 0], torch.tensor([middle, middle, 0.5, 0.5]))
    torch.testing.assert_close(found.weights[0], torch.tensor([0.75, 0.75, 0.4, 0.4]))


def test_what_the_face_hides_is_not_seen(decode):
    scene = decode(make_code(1))
    size = scene.camera.image_size
    nothing = torch.full((1, size, size), -1.0, dtype=torch.float64)
    assert torch.equal(unoccluded(scene, nothing), scene.front_facing)
    row = scene.pixels[0, :, 1].floor().long().clamp(0, size - 1)
    wall = nothing.clone()
    wall[:, : size // 2] = float(scene.depth.min()) - 5  # before the upper half of the picture
    seen = unoccluded(scene, wall)
    assert not seen[0, row < size // 2].any()
    assert torch.equal(seen[0, row >= size // 2], scene.front_facing[0, row >= size // 2])
    wall[:, : size // 2] = float(scene.depth.max())
    assert torch.equal(unoccluded(scene, wall), scene.front_facing)


def test_front_light_of_even_light(decode):
    light = torch.zeros(2, 9, 3, dtype=torch.float64)
    light[1, 0] = torch.tensor([0.2, 0.3, 0.4])
    found = front_light(decode(make_code(2).replace(illumination=light)))
    assert found.tolist() == pytest.approx([0.7, 1.0])


def test_light_divided_by_what_the_reflectance_is_multiplied_by_gives_the_same_picture(decode):
    code = grey_light(make_code(2))
    factor = torch.tensor([[1.5, 1.0, 0.8], [0.5, 0.6, 0.7]], dtype=torch.float64)
    scene, other = decode(code), decode(code.replace(illumination=divide_light(code.illumination, factor)))
    torch.testing.assert_close(other.colors * factor[:, None], scene.colors)


def test_divided_light_was_white(decode):
    code = make_code(2)
    found = divide_light(code.illumination, torch.ones(2, 3, dtype=torch.float64))
    torch.testing.assert_close(found, code.illumination.mean(dim=2, keepdim=True).expand(-1, -1, 3))


def test_only_what_does_not_vary_is_of_everybody():
    model, teeth = make_toothed_model()
    assert torch.equal(of_everybody(model), teeth)
    model.reflectance_basis[:] = 0.0
    assert not of_everybody(model).any()


def test_hue_tells_what_is_foreign_to_teeth_and_lightness_does_not():
    own = torch.tensor(TEETH).expand(4, 3)
    colors = torch.stack([own[0], own[0] * 0.4, torch.tensor(LIP), torch.tensor(LIP)])
    samples = ReflectanceSamples(colors[None], torch.full((1, 4), 0.8))
    fixed = torch.tensor([True, True, True, False])
    kept = without_foreign(samples, own, fixed, torch.zeros(4, dtype=torch.bool), torch.zeros(3)).weights
    torch.testing.assert_close(kept, torch.tensor([[0.8, 0.8, 0.0, 0.8]]))
    # A photograph with a cast: everything in it has the lip's hue.
    cast = torch.log(torch.tensor(LIP) / own[0])
    kept = without_foreign(samples, own, fixed, torch.zeros(4, dtype=torch.bool), cast).weights
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0.0, 0.8, 0.8]]))
    assert cast.max() - cast.min() > HUE


def test_hair_and_collars_are_foreign_to_bare_skin():
    own = torch.tensor(SKIN).expand(5, 3)
    colors = torch.stack([own[0], own[0] * 0.8, own[0] * 0.3, torch.tensor(COLLAR), torch.tensor(COLLAR)])
    samples = ReflectanceSamples(colors[None], torch.full((1, 5), 0.8))
    nowhere, bare = torch.zeros(5, dtype=torch.bool), torch.tensor([True, True, True, True, False])
    kept = without_foreign(samples, own, nowhere, bare, torch.zeros(3)).weights
    torch.testing.assert_close(kept, torch.tensor([[0.8, 0.8, 0.0, 0.0, 0.8]]))
    # Of a person whose whole face is as dark, dark skin is not.
    kept = without_foreign(samples, own, nowhere, bare, torch.full((3,), math.log(0.3))).weights
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0.0, 0.8, 0.0, 0.8]]))


def test_typical_ratio_is_that_of_the_vertices_that_count():
    own = torch.full((3, 3), 0.5)
    samples = ReflectanceSamples(torch.tensor([[[0.6, 0.5, 0.4], [0.6, 0.5, 0.4], [0.1, 0.9, 0.1]]]), torch.ones(1, 3))
    found = typical_ratio(samples, own, torch.tensor([True, True, False]))
    torch.testing.assert_close(found.exp(), torch.tensor([1.2, 1.0, 0.8]))
    assert torch.equal(typical_ratio(samples, own, torch.zeros(3, dtype=torch.bool)), torch.zeros(3))
