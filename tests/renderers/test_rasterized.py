from __future__ import annotations

import pytest
import raster_scenes as scenes
import torch
from tiny_model import make_code

from mofa3d import Camera, Decoder, harmonics, losses
from mofa3d.renderers import make_renderer
from mofa3d.renderers.rasterized import counted_fragments, pixel_centres

SIZE = 40


@pytest.fixture
def scene(tiny_model_double):
    return Decoder(tiny_model_double, Camera(SIZE))(make_code(2, dtype=torch.float64))


def slow_image(scene, image: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """RGB, alpha and counted (H, W, ·) of one image by testing every face turned to the camera at every pixel."""
    pixels, depth = scene.pixels[image], scene.depth[image]
    (ax, ay), (bx, by), (cx, cy) = (corner.unbind(-1) for corner in pixels[scene.faces].unbind(1))
    front = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0
    faces = scene.faces[front]
    index, bary, _ = scenes.rasterize_slowly(pixels, depth, faces, SIZE)
    covered, corners = index >= 0, faces[index.clamp_min(0)]
    reflectance = (scene.reflectance[image][corners] * bary[..., None]).sum(dim=2)
    normals = torch.nn.functional.normalize((scene.normals[image][corners] * bary[..., None]).sum(dim=2), dim=-1)
    light = harmonics.irradiance(normals.reshape(1, -1, 3), scene.illumination[image : image + 1])
    colors = reflectance * light.reshape(SIZE, SIZE, 3)
    vertex = scene.front_facing[image] & scene.frontal
    return colors, covered, covered & vertex[corners].all(dim=-1)


@pytest.mark.parametrize("name", ["cpu", "pytorch3d"])
def test_image_and_samples_equal_a_slow_reference(scene, name):
    rendering = make_renderer(name, **({"antialias": False} if name == "cpu" else {}))(scene)
    for i in range(2):
        colors, covered, counted = slow_image(scene, i)
        assert 0.2 < covered.double().mean() < 0.9
        assert (rendering.image[i, 3].bool() == covered).double().mean() > 0.998
        both = rendering.image[i, 3].bool() & covered
        difference = (rendering.image[i, :3].permute(1, 2, 0) - colors.clamp(0, 1))[both].abs()
        assert difference.quantile(0.999) < 1e-3
        weights = rendering.weights[i].reshape(SIZE, SIZE)
        assert ((weights > 0) == counted).double().mean() > 0.998
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-6)
    assert rendering.positions[0].reshape(SIZE, SIZE, 2)[3, 7].tolist() == [7.5, 3.5]


def test_pixel_centres():
    expected = torch.tensor([[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]])
    assert torch.equal(pixel_centres(2, 3, torch.zeros(1)), expected)


def test_counted_fragments(scene):
    visible = (scene.front_facing & scene.frontal)[:, scene.faces].all(dim=2)
    count = len(scene.faces)
    index = torch.arange(-1, 2 * count).view(1, 1, -1, 1)
    expected = torch.cat([torch.zeros(1, dtype=torch.bool), visible.flatten()])
    assert torch.equal(counted_fragments(scene, index).flatten(), expected)
    assert expected.any()
    assert not expected.all()


def test_losses_of_the_backends_agree(scene):
    """Of one smooth image, the mean error over vertices and over pixels is about the same."""
    waves = torch.linspace(0, 3, SIZE, dtype=torch.float64).sin()
    image = (0.5 + 0.2 * waves[:, None] * waves[None]).expand(2, 3, SIZE, SIZE)
    vertex = make_renderer("vertex")(scene)
    mean = losses.photometric(vertex, image) / vertex.weights.sum(dim=1)
    hard = losses.photometric(make_renderer("pytorch3d")(scene), image)
    cpu = losses.photometric(make_renderer("cpu", antialias=False)(scene), image)
    antialiased = losses.photometric(make_renderer("cpu")(scene), image)
    torch.testing.assert_close(cpu, hard, rtol=2e-3, atol=0)
    torch.testing.assert_close(antialiased, cpu, rtol=2e-2, atol=0)
    torch.testing.assert_close(mean, hard, rtol=0.2, atol=0)


def test_background_shows_where_the_face_is_not(scene):
    render = make_renderer("cpu", antialias=False, background=(0.2, 0.4, 0.6))
    image = render(scene).image
    empty = image[:, 3] == 0
    expected = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
    torch.testing.assert_close(image.permute(0, 2, 3, 1)[empty][0, :3], expected)
    assert empty.double().mean() > 0.1


def covered_area(scene, name: str, **options) -> torch.Tensor:
    return make_renderer(name, **options)(scene).image[:, 3].sum()


@pytest.mark.parametrize(
    ("name", "options"), [("cpu", {}), ("pytorch3d", {"soft": True, "sigma": 1e-4, "faces_per_pixel": 20})]
)
def test_silhouette_gradient_equals_finite_differences_of_the_area(tiny_model_double, name, options):
    """Alpha summed over the image is the covered area, whose derivative by t_z is known from the exact silhouette."""
    code, step = make_code(1, dtype=torch.float64), 8.0
    decode = Decoder(tiny_model_double, Camera(64))

    def area(depth: torch.Tensor | float) -> torch.Tensor:
        shift = torch.stack([torch.zeros((), dtype=torch.float64)] * 2 + [torch.as_tensor(depth, dtype=torch.float64)])
        return covered_area(decode(code.replace(translation=code.translation + shift)), name, **options)

    depth = torch.zeros((), dtype=torch.float64, requires_grad=True)
    area(depth).backward()
    expected = float(area(step) - area(-step)) / (2 * step)
    assert expected < 0
    assert float(depth.grad) == pytest.approx(expected, rel=0.15)


def test_without_antialiasing_silhouettes_do_not_move(scene):
    code = make_code(1, dtype=torch.float64)
    assert not make_renderer("cpu", antialias=False)(scene).image[:, 3].requires_grad
    assert len(code) == 1
