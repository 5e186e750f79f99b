"""Pictures show what their names say: the face over the photograph, and each factor of its color alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import make_code

from mofa3d import harmonics, losses
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.pictures import views
from mofa3d.renderers import make_renderer
from mofa3d.scene import Scene
from mofa3d.semantic_code import CodeSizes, SemanticCode

SIZE = 64
SIZES = CodeSizes(5, 4, 6)


@pytest.fixture(scope="module")
def render():
    return make_renderer("cpu")


@pytest.fixture
def scene(tiny_model, tiny_code) -> Scene:
    return Decoder(tiny_model, Camera(SIZE))(tiny_code)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def regions(scene: Scene, render) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (B, H, W) wholly inside and wholly outside the face."""
    alpha = render(scene).image[:, 3]
    inside, outside = alpha == 1, alpha == 0
    assert float(inside.float().mean()) > 0.1
    assert float(outside.float().mean()) > 0.1
    return inside, outside


def pixels(picture: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    return picture.permute(0, 2, 3, 1)[region]


class TestOverlay:
    def test_photograph_outside_and_rendering_inside(self, scene, render, image):
        inside, outside = regions(scene, render)
        laid = views.overlay(scene, render, image)
        assert torch.equal(pixels(laid, outside), pixels(image, outside))
        assert torch.equal(pixels(laid, inside), pixels(render(scene).image[:, :3], inside))

    def test_edges_are_mixed_by_their_coverage(self, scene, render):
        # A face of one color on a photograph of another: every pixel is their mixture.
        face, behind = torch.tensor([0.8, 0.2, 0.6]), torch.tensor([0.1, 0.9, 0.3])
        even = torch.zeros(9, 3)
        even[0] = 1 - harmonics.AMBIENT
        plain = views.recolored(scene, face, even)
        laid = views.overlay(plain, render, behind.view(1, 3, 1, 1).expand(3, 3, SIZE, SIZE))
        alpha = render(scene).image[:, 3:]
        assert int(((alpha > 0.2) & (alpha < 0.8)).sum()) > 20
        expected = alpha * face.view(3, 1, 1) + (1 - alpha) * behind.view(3, 1, 1)
        torch.testing.assert_close(laid, expected, atol=1e-5, rtol=0)


class TestReflectance:
    def test_one_reflectance_is_shown_as_it_is(self, scene, render):
        inside, outside = regions(scene, render)
        color = torch.tensor([0.2, 0.5, 0.9])
        plain = replace(scene, reflectance=color.expand_as(scene.reflectance))
        picture = views.reflectance(plain, render)
        torch.testing.assert_close(pixels(picture, inside), color.expand(int(inside.sum()), 3), atol=1e-5, rtol=0)
        assert bool((pixels(picture, outside) == 1).all())

    def test_vertices_show_their_own(self, scene, render):
        picture = views.reflectance(scene, render)
        seen = losses.sample(picture, scene.pixels).transpose(1, 2)
        # Away from the silhouette, and to what a pixel of 64 resolves.
        middle = scene.frontal & (scene.normals[..., 2] > 0.7)
        assert int(middle.sum()) > 100
        difference = (seen - scene.reflectance)[middle].abs()
        assert float(difference.mean()) < 0.005
        assert float(difference.max()) < 0.03
        assert float(scene.reflectance[middle].std()) > 0.05

    def test_light_does_not_matter(self, scene, render):
        dark = replace(scene, illumination=torch.full_like(scene.illumination, -0.3))
        assert torch.equal(views.reflectance(scene, render), views.reflectance(dark, render))


class TestIllumination:
    def test_even_light_on_grey(self, tiny_model, render):
        scene = Decoder(tiny_model, Camera(SIZE))(SemanticCode.zeros(1, SIZES))
        inside, outside = regions(scene, render)
        picture = views.illumination(scene, render)
        # Half of the ambient light.
        torch.testing.assert_close(pixels(picture, inside), torch.full((int(inside.sum()), 3), 0.5 * 0.7))
        assert bool((pixels(picture, outside) == 1).all())

    def test_reflectance_does_not_matter(self, scene, render):
        other = replace(scene, reflectance=1 - scene.reflectance)
        assert torch.equal(views.illumination(scene, render), views.illumination(other, render))


class TestGeometry:
    def test_neither_light_nor_reflectance_matters(self, scene, render):
        other = replace(scene, reflectance=1 - scene.reflectance, illumination=-scene.illumination)
        picture = views.geometry(scene, render)
        assert torch.equal(picture, views.geometry(other, render))
        assert torch.equal(picture[:, 0], picture[:, 1])  # grey
        assert torch.equal(picture[:, 0], picture[:, 2])

    def test_lamp_stands_to_the_right_and_above(self, tiny_model, render):
        scene = Decoder(tiny_model, Camera(SIZE))(SemanticCode.zeros(1, SIZES))
        picture = views.geometry(scene, render)[0, 0]
        middle = SIZE // 2
        assert float(picture[middle - 14, middle]) > float(picture[middle + 14, middle]) + 0.05
        assert float(picture[middle, middle + 12]) > float(picture[middle, middle - 12]) + 0.05


def test_recolored_vertices_are_reflectance_times_irradiance(scene):
    light = 0.1 * torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    other = views.recolored(scene, 0.4, light)
    expected = 0.4 * harmonics.irradiance(scene.normals, light.expand(3, 9, 3))
    torch.testing.assert_close(other.colors, expected)
    assert bool((other.reflectance == 0.4).all())
    assert torch.equal(other.vertices, scene.vertices)
    assert torch.equal(other.illumination, light.expand(3, 9, 3))
    same = views.recolored(scene, scene.reflectance, scene.illumination)
    torch.testing.assert_close(same.colors, scene.colors)


class TestPanels:
    def test_five_pictures_side_by_side(self, scene, render, image):
        panels = views.panels(scene, render, image)
        assert (panels.shape, panels.dtype) == ((3, SIZE, 5 * SIZE, 3), np.uint8)
        columns = [
            image,
            views.overlay(scene, render, image),
            views.geometry(scene, render),
            views.reflectance(scene, render),
            views.illumination(scene, render),
        ]
        assert len(views.COLUMNS) == len(columns)
        for number, picture in enumerate(columns):
            part = panels[:, :, number * SIZE : (number + 1) * SIZE]
            assert np.abs(part - 255 * picture.permute(0, 2, 3, 1).numpy()).max() <= 0.501, views.COLUMNS[number]

    def test_a_renderer_that_draws_one_scene_at_a_time_gives_the_same(self, scene, render, image):
        one_by_one = views.panels(scene, lambda each: render(each), image)
        np.testing.assert_array_equal(one_by_one, views.panels(scene, render, image))

    def test_no_gradient_is_kept(self, tiny_model, render, image):
        code = make_code(3, SIZES, dtype=torch.float32)
        code = code.replace(shape=code.shape.requires_grad_())
        scene = Decoder(tiny_model, Camera(SIZE))(code)
        assert scene.vertices.requires_grad
        assert views.panels(scene, render, image).shape == (3, SIZE, 5 * SIZE, 3)


def test_bytes_are_rounded_and_clamped():
    image = torch.tensor([-0.2, 0.0, 0.5, 0.7, 1.0, 1.3]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    result = views.to_bytes(image)
    assert result.shape == (1, 1, 6, 3)
    assert result[0, 0, :, 0].tolist() == [0, 0, 128, 178, 255, 255]
