"""The reflectance of a rendered photograph comes back, also where the photograph does not show it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tiny_model import TEETH, make_tiny_model, make_toothed_model

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.photo import to_tensor
from mofa3d.export import find_texels
from mofa3d.export.photo_texture import (
    KNEE,
    View,
    _blended,
    _mix,
    _seen,
    _shrunk,
    _texels_per_pixel,
    filled_reflectance,
    photo_texture,
)
from mofa3d.export.texture import Texels
from mofa3d.export.texture_layout import texture_layout
from mofa3d.fitting.delighting import HIDDEN, delight, unoccluded
from mofa3d.harmonics import irradiance
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize
from mofa3d.scene import front_facing

CROP, TEXTURE = 96, 128
MARGIN = 20  # pixels of the photograph around what the crop shows
LIP = (0.6, 0.3, 0.28)
TONE = torch.tensor([1.3, 1.0, 0.8])  # the photographed skin over the model's


@pytest.fixture(scope="module")
def model():
    return make_tiny_model(40)


@pytest.fixture(scope="module")
def texels(model):
    return find_texels(texture_layout(model), TEXTURE, rasterize)


def turned(model, yaw: float) -> SemanticCode:
    code = SemanticCode.zeros(1, model.sizes)
    light = code.illumination.clone()
    light[0, 0], light[0, 2], light[0, 3] = 0.1, 0.15, torch.tensor([0.1, 0.05, 0.0])
    return code.replace(rotation=torch.tensor([[0.0, yaw, 0.0]]), illumination=light)


def photographed(model, code: SemanticCode, factor: int = 2):
    """The face of another tone than the model's, `factor` times as large as the crop, and the fitted scene."""
    big = Decoder(model, Camera(factor * CROP))(code)
    photo = np.pad(seen_as(big, big.reflectance * TONE), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
    return photo, CropTransform(MARGIN, MARGIN, 1 / factor), Decoder(model, Camera(CROP))(code)


@pytest.mark.parametrize("factor", [2, 8])
@pytest.mark.parametrize("yaw", [0.0, 0.7])
def test_true_reflectance_comes_back_everywhere(model, texels, yaw, factor):
    photo, transform, scene = photographed(model, turned(model, yaw), factor)
    image = photo_texture([View(scene, photo, transform)], model, texels, rasterize)
    assert (image.shape, image.dtype) == ((TEXTURE, TEXTURE, 3), np.uint8)
    expected = texels.interpolate(scene.reflectance[0] * TONE).numpy()
    error = np.abs(image[texels.covered] / 255 - expected).max(axis=1)
    # At the open border of this model, which no photograph of a head shows, pixels mix with the background.
    inner = cv2.erode(np.pad(texels.covered, 1).astype(np.uint8), np.ones((17, 17)))[1:-1, 1:-1][texels.covered] > 0
    assert 0.6 < inner.mean() < 0.9
    assert np.median(error) < 0.006
    assert error[inner].max() < 0.03


def test_a_turned_photograph_gives_the_same_texture(model, texels):
    photo, transform, scene = photographed(model, turned(model, 0.3))
    clockwise = np.ascontiguousarray(np.rot90(photo, -1))
    corner = (photo.shape[0] - transform.top, transform.left)
    turned_transform = CropTransform(*corner, transform.scale, 90.0)
    images = [
        photo_texture([View(scene, picture, place)], model, texels, rasterize).astype(int)
        for picture, place in ((photo, transform), (clockwise, turned_transform))
    ]
    assert np.abs(images[0] - images[1]).max() <= 1


def test_each_side_is_of_the_photograph_that_looks_at_it(model, texels):
    views = []
    for yaw, brightness in ((0.7, 1.0), (-0.7, 0.8)):
        photo, transform, scene = photographed(model, turned(model, yaw))
        views.append(View(scene, np.round(brightness * photo).astype(np.uint8), transform))
    image = photo_texture(views, model, texels, rasterize)[texels.covered] / 255
    ratio = (image / texels.interpolate(views[0].scene.reflectance[0] * TONE).numpy()).mean(axis=1)
    x = texels.interpolate(model.mean_shape).numpy()[:, 0]
    # A head that is turned by R⁻¹ about +y to the left of the picture shows the subject's left.
    for side, own in ((x > 30, 1.0), (x < -30, 0.8)):
        assert np.median(ratio[side]) == pytest.approx(own, abs=0.03)


def test_detail_between_the_vertices_is_kept(model, texels):
    photo, transform, scene = photographed(model, turned(model, 0.0), 4)
    # A mark much smaller than the triangles, at a point of the face that is known.
    vertex = int(model.mean_shape[:, :2].sub(torch.tensor([12.0, 8.0])).square().sum(dim=1).argmin())
    x, y = transform.to_photo(scene.pixels[0, vertex].numpy())
    marked = photo.copy()
    cv2.circle(marked, (round(float(x) - 0.5), round(float(y) - 0.5)), 4, (0, 0, 0), -1)
    plain, drawn = (photo_texture([View(scene, p, transform)], model, texels, rasterize) for p in (photo, marked))
    change = np.abs(plain.astype(int) - drawn).max(axis=2)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert change.max() > 100
    found = texels.interpolate(model.mean_shape).numpy()[np.cumsum(texels.covered)[row * TEXTURE + column] - 1]
    assert np.linalg.norm(found - model.mean_shape[vertex].numpy()) < 4


def test_a_hidden_face_keeps_the_models_reflectance(model, texels):
    scene = Decoder(model, Camera(CROP))(turned(model, 0.0))
    black = np.zeros((100, 100, 3), dtype=np.uint8)
    outside = CropTransform(500.0, 500.0, 1.0)
    image = photo_texture([View(scene, black, outside)], model, texels, rasterize)
    expected = texels.interpolate(scene.reflectance[0]).numpy()
    np.testing.assert_allclose(image[texels.covered] / 255, expected, atol=0.003)


class TestFilling:
    def test_the_other_half_of_the_face_comes_first(self, model):
        """What one side shows is the other side's, and dark parts of the model stay dark."""
        reflectance = torch.full((1600, 3), 0.4)
        left = model.mean_shape[:, 0] > 1
        mark = (model.mean_shape - torch.tensor([30.0, 0.0, 60.0])).norm(dim=1) < 20
        mirrored = (model.mean_shape - torch.tensor([-30.0, 0.0, 60.0])).norm(dim=1) < 15
        dark = (model.mean_shape - torch.tensor([0.0, -60.0, 40.0])).norm(dim=1) < 15
        reflectance[dark] = 0.1
        colors = torch.where(mark[:, None], torch.tensor([0.2, 0.2, 0.2]), 1.5 * reflectance)
        filled = filled_reflectance(reflectance, colors, left.float(), model)
        torch.testing.assert_close(filled[left], colors[left])
        assert mirrored.any()
        torch.testing.assert_close(filled[mirrored], torch.full_like(filled[mirrored], 0.2), atol=0.02, rtol=0)
        torch.testing.assert_close(filled[dark & ~left], torch.full_like(filled[dark & ~left], 0.15), atol=0.01, rtol=0)

    def test_hidden_teeth_are_as_light_as_those_that_are_seen(self):
        """Two rows of teeth, apart from the skin and from each other; the photograph shows one."""
        model = make_tiny_model(40)
        height = model.mean_shape[:, 1]
        upper, lower = (height > 5) & (height < 15), (height < -5) & (height > -15)
        rows = (upper | lower).long()
        model.faces = model.faces[(rows[model.faces] == rows[model.faces[:, :1]]).all(dim=1)]
        model.reflectance_basis[upper | lower] = 0.0
        reflectance = torch.full((1600, 3), 0.6)
        colors = torch.where(upper[:, None], 0.7 * reflectance, 1.2 * reflectance)
        filled = filled_reflectance(reflectance, colors, (~lower).float(), model)
        assert lower.sum() > 50
        torch.testing.assert_close(filled[lower], torch.full_like(filled[lower], 0.42))
        # What is seen of another hue tells how light teeth are, and not that they are green.
        colors[upper] *= torch.tensor([0.8, 1.25, 1.0])
        filled = filled_reflectance(reflectance, colors, (~lower).float(), model)
        torch.testing.assert_close(filled[lower], torch.full_like(filled[lower], 0.42))

    def test_nothing_known(self, model):
        reflectance = torch.rand(1600, 3, generator=torch.Generator().manual_seed(0))
        assert torch.equal(filled_reflectance(reflectance, reflectance + 1, torch.zeros(1600), model), reflectance)


def test_seam_is_soft():
    covered = np.ones((400, 400), dtype=bool)
    covered[:, 300:] = False  # beyond the border of a chart nothing is hidden
    weights = np.ones((400, 400), dtype=np.float32)
    weights[:, :100] = 0
    mix = _mix(weights[covered], covered).reshape(400, 300)[200]
    assert (mix[:100] == 0).all()
    assert mix[102] == pytest.approx(0.5, abs=0.2)
    assert np.abs(np.diff(mix)).max() < 0.4
    assert (mix[105:] == 1).all()


def test_large_photographs_are_averaged():
    photo = np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8)[..., None], (20, 30, 3))
    image, factors = _shrunk(photo, 0.5)
    assert image.shape == (20, 30, 3)
    assert factors == (0.5, 0.5)
    assert np.abs(image.astype(int) - 128).max() <= 1
    assert _shrunk(photo, 1.5)[1] == (1.0, 1.0)


def points_of(scene, values: Texels):
    """Points on the surface as a scene without triangles, as far as `delight` looks at it."""
    at = values.interpolate(torch.cat([scene.positions[0], scene.normals[0]], dim=1))[None]
    positions, normals = at[..., :3], torch.nn.functional.normalize(at[..., 3:], dim=2)
    return replace(
        scene,
        frontal=torch.ones(at.shape[1], dtype=torch.bool),
        **dict.fromkeys(("vertices", "reflectance", "colors"), torch.zeros_like(positions)),
        positions=positions,
        normals=normals,
        front_facing=front_facing(positions, normals, scene.camera),
        pixels=scene.camera.project(positions),
    )


@pytest.mark.processor
@pytest.mark.parametrize(("yaw", "factor", "roll"), [(0.7, 2, 0.0), (-0.3, 1, 20.0)])
def test_the_kernel_sees_what_delight_sees(model, texels, yaw, factor, roll):
    """Also where something hides a point, the photograph ends, the light is dark, or the photograph overexposed."""
    code = turned(model, yaw)
    code.illumination[0, 3, 1] = 0.8  # dark on the left
    photo, transform, scene = photographed(model, code, factor)
    photo = cv2.convertScaleAbs(photo, alpha=1.6)[: int(0.7 * len(photo))]
    photo[:, : int(0.4 * photo.shape[1])] = 200  # too light for that
    photo.flags.writeable = False
    transform = CropTransform(transform.left, transform.top, transform.scale, roll)
    wall = int(0.6 * CROP * 4)

    def rasterize_behind_a_wall(*given, **options):
        fragments = rasterize(*given, **options)
        fragments.zbuf[:, :, wall:] = 100.0
        return fragments

    zbuf = rasterize_behind_a_wall(scene.pixels * 4, scene.depth, scene.faces, 4 * CROP).zbuf[..., 0]
    themselves = Texels(
        np.ones((40, 40), bool), torch.arange(1600)[:, None].expand(-1, 3), torch.eye(3)[:1].repeat(1600, 1)
    )
    found = _seen(View(scene, photo, transform), texels, rasterize_behind_a_wall)
    for samples, at in zip(found, (themselves, texels), strict=True):
        points = points_of(scene, at)
        visible = unoccluded(replace(points, pixels=points.pixels * 4), zbuf, HIDDEN / 4)
        in_photo = replace(points, pixels=transform.to_photo(points.pixels))
        expected = delight(in_photo, to_tensor(photo)[None], visible, grey=False)
        seen = (expected.weights > 0) & (samples.weights > 0)
        assert 0.05 < seen.float().mean() < 0.8
        assert ((expected.weights > 0) != (samples.weights > 0)).float().mean() < 0.001
        torch.testing.assert_close(samples.weights[seen], expected.weights[seen], atol=1e-5, rtol=0)
        torch.testing.assert_close(samples.colors[seen], expected.colors[seen], atol=1e-3, rtol=0)
        assert not samples.colors[samples.weights == 0].any()


def test_texels_per_pixel_are_those_of_the_typical_texel(model, texels):
    _, _, scene = photographed(model, turned(model, 0.3))
    pixels = points_of(scene, texels).pixels[0].numpy()
    image = np.full((*texels.covered.shape, 2), np.nan, dtype=np.float32)
    image[texels.covered] = pixels
    step = np.linalg.norm(np.diff(image, axis=1), axis=2)
    assert _texels_per_pixel(scene, texels) == pytest.approx(1 / np.nanmedian(step), rel=0.02)


def blended(texels: Texels, colors: np.ndarray, mix: np.ndarray, filled: torch.Tensor) -> np.ndarray:
    """Of the first texels; what the others get is not looked at."""
    count = len(colors)
    few = Texels(texels.covered, texels.corners[:count], texels.weights[:count])
    given = (torch.from_numpy(values.astype(np.float32)) for values in (colors, mix))
    return _blended(few, filled, *given)


def test_highlights_are_pressed_together_and_keep_their_color(texels):
    colors = np.array([[0.5, 0.4, 0.3], [0.85, 0.2, 0.0], [1.2, 0.9, 0.6], [4.0, 4.0, 2.0]])
    found = blended(texels, colors, np.ones(4), torch.zeros(1600, 3)) / 255
    np.testing.assert_allclose(found[:2], colors[:2], atol=0.5 / 255)  # skin stays as it is
    np.testing.assert_allclose(found[2], (1 - 0.15 * np.exp(-0.35 / 0.15)) * np.array([1, 0.75, 0.5]), atol=0.5 / 255)
    assert (found[3] == [1, 1, 128 / 255]).all()


@pytest.mark.processor
def test_texels_are_mixed_of_the_photograph_and_the_vertices(texels):
    rng = np.random.default_rng(0)
    colors, mix, filled = (
        rng.random((50, 3)),
        rng.random(50),
        torch.rand(1600, 3, generator=torch.Generator().manual_seed(0)),
    )
    mix[:2] = 0, 1
    at = texels.interpolate(filled)[:50].numpy()
    expected = mix[:, None] * colors + (1 - mix[:, None]) * at
    brightest = expected.max(axis=1, keepdims=True).clip(KNEE)
    expected *= (1 - 0.15 * np.exp((KNEE - brightest) / 0.15)) / brightest
    np.testing.assert_allclose(blended(texels, colors, mix, filled) / 255, expected, atol=0.501 / 255)


def seen_as(scene, reflectance) -> np.ndarray:
    """A photograph of a face that has another reflectance than its scene."""
    colors = reflectance * irradiance(scene.normals, scene.illumination)
    image = make_renderer("cpu")(replace(scene, reflectance=reflectance, colors=colors)).image
    return np.round(255 * image[0, :3].permute(1, 2, 0).numpy()).astype(np.uint8)


def test_a_collar_does_not_color_the_neck():
    """Below the face, white cloth covers the skin, whose tone is the face's then; the face is as it is shown."""
    model = make_tiny_model(40)
    low = model.mean_shape[:, 1] < -20
    model.frontal = ~low
    scene = Decoder(model, Camera(240))(SemanticCode.zeros(1, model.sizes))
    reflectance = scene.reflectance * torch.tensor([0.9, 0.8, 0.7])
    expected = reflectance[0].clone()
    covered = model.mean_shape[:, 1] < -30
    reflectance[0, covered] = torch.tensor([0.95, 0.95, 0.98])
    photo = seen_as(scene, reflectance)
    texels = find_texels(texture_layout(model), TEXTURE, rasterize)
    texture = photo_texture([View(scene, photo, CropTransform(0, 0, 1.0))], model, texels, rasterize)
    height = texels.interpolate(model.mean_shape)[:, 1].numpy()
    error = np.abs(texture[texels.covered] / 255 - texels.interpolate(expected).numpy()).max(axis=1)
    assert (height < -30).sum() > 200
    assert np.median(error[height < -30]) < 0.03
    assert np.median(error[height > -20]) < 0.01


@pytest.mark.parametrize(("shown", "expected"), [(LIP, TEETH), ((0.6, 0.56, 0.5), (0.6, 0.56, 0.5))])
def test_a_lip_before_the_teeth_does_not_color_them(shown, expected):
    model, teeth = make_toothed_model()
    code = SemanticCode.zeros(1, model.sizes)
    scene = Decoder(model, Camera(240))(code)
    reflectance = scene.reflectance.clone()
    reflectance[0, teeth] = torch.tensor(shown)
    photo = seen_as(scene, reflectance)
    texels = find_texels(texture_layout(model), 128, rasterize)
    texture = photo_texture([View(scene, photo, CropTransform(0, 0, 1.0))], model, texels, rasterize)
    middle = texels.interpolate(model.mean_shape)[:, :2].square().sum(dim=1).sqrt().numpy() < 15
    found = texture[texels.covered][middle] / 255
    assert middle.sum() > 50
    np.testing.assert_allclose(np.median(found, axis=0), expected, atol=0.02)
