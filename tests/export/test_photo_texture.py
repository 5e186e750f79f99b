"""The reflectance of a rendered photograph comes back, also where the photograph does not show it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data.crop_transform import CropTransform
from mofa3d.export import find_texels
from mofa3d.export.photo_texture import View, _mix, _shrunk, filled_reflectance, photo_texture, unclipped
from mofa3d.export.texture_layout import texture_layout
from mofa3d.harmonics import irradiance
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize

CROP, TEXTURE = 96, 128
MARGIN = 20  # pixels of the photograph around what the crop shows
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
    reflectance = big.reflectance * TONE
    truth = replace(big, reflectance=reflectance, colors=reflectance * irradiance(big.normals, big.illumination))
    image = make_renderer("cpu")(truth).image[0, :3].permute(1, 2, 0).numpy()
    photo = np.pad(np.round(255 * image).astype(np.uint8), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
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
    assert image.shape == (3, 20, 30)
    assert factors == (0.5, 0.5)
    assert float((image - 0.5).abs().max()) < 0.01
    assert _shrunk(photo, 1.5)[1] == (1.0, 1.0)


def test_highlights_are_pressed_together_and_keep_their_color():
    colors = np.array([[0.5, 0.4, 0.3], [0.85, 0.2, 0.0], [1.2, 0.9, 0.6], [4.0, 4.0, 2.0]])
    found = unclipped(colors)
    np.testing.assert_allclose(found[:2], colors[:2])  # skin stays as it is
    assert (found < 1).all()
    np.testing.assert_allclose(found[2] / found[2].max(), [1, 0.75, 0.5])
    assert 0.85 < found[2].max() < found[3].max()
