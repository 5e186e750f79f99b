from __future__ import annotations

import math

import pytest
import raster_scenes as scenes
import torch
from pytorch3d.renderer import (
    BlendParams,
    MeshRasterizer,
    MeshRenderer,
    RasterizationSettings,
    TexturesVertex,
)
from pytorch3d.structures import Meshes
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, harmonics
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import CpuRasterizer
from mofa3d.renderers.shader import SHShader

SIZE = 40
RASTERIZERS = {"pytorch3d": MeshRasterizer, "cpu": CpuRasterizer}
both_rasterizers = pytest.mark.parametrize("make_rasterizer", RASTERIZERS.values(), ids=RASTERIZERS)


def light(batch: int = 1, seed: int = 0) -> torch.Tensor:
    return 0.2 * torch.randn(batch, 9, 3, generator=torch.Generator().manual_seed(seed))


def textured(vertices, faces, reflectance) -> Meshes:
    return Meshes([vertices], [faces], textures=TexturesVertex([reflectance.expand(len(vertices), 3)]))


def tilted_triangle(flip: bool = False) -> Meshes:
    """A triangle whose normal is (0.6, 0, 0.8), of one reflectance; flipped, it turns its back to the camera."""
    vertices = torch.tensor([[-40.0, -50.0, 30.0], [40.0, -50.0, -30.0], [0.0, 60.0, 0.0]])
    faces = torch.tensor([[0, 2, 1] if flip else [0, 1, 2]])
    return textured(vertices, faces, torch.tensor([0.8, 0.5, 0.25]))


def head(seed: int = 1) -> Meshes:
    vertices, faces = scenes.ellipsoid(24)
    reflectance = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(seed))
    return textured(vertices, faces, reflectance)


def white_head() -> Meshes:
    return textured(*scenes.ellipsoid(24), torch.ones(3))


def renderer(make_rasterizer, shader: SHShader, **settings) -> MeshRenderer:
    cameras = scenes.pytorch3d_cameras(SIZE)
    shader.cameras = cameras
    return MeshRenderer(make_rasterizer(cameras, RasterizationSettings(image_size=SIZE, **settings)), shader)


@both_rasterizers
def test_color_of_a_tilted_triangle_by_hand(make_rasterizer):
    gamma = light()
    image = renderer(make_rasterizer, SHShader(gamma))(tilted_triangle())[0]
    x, y, z = 0.6, 0.0, 0.8
    functions = [
        1,
        2 / math.sqrt(3) * y,
        2 / math.sqrt(3) * z,
        2 / math.sqrt(3) * x,
        math.sqrt(15) / 4 * x * y,
        math.sqrt(15) / 4 * y * z,
        math.sqrt(5) / 8 * (3 * z**2 - 1),
        math.sqrt(15) / 4 * x * z,
        math.sqrt(15) / 8 * (x**2 - y**2),
    ]
    for channel, reflectance in enumerate((0.8, 0.5, 0.25)):
        irradiance = 0.7 + sum(value * float(gamma[0, b, channel]) for b, value in enumerate(functions))
        covered = image[..., 3] == 1
        colors = image[..., channel][covered]
        torch.testing.assert_close(colors, torch.full_like(colors, reflectance * irradiance), atol=1e-5, rtol=0)
    # The part of the image that the triangle's projection covers, up to the pixels of its border.
    pixels, _ = scenes.project(tilted_triangle().verts_packed(), SIZE)
    (ax, ay), (bx, by), (cx, cy) = pixels.tolist()
    area = abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2
    assert int(covered.sum()) == pytest.approx(area, rel=0.05)


@both_rasterizers
def test_pixel_of_a_head_by_hand(make_rasterizer):
    """Reflectance and normal are interpolated with perspective-correct weights before the light falls on them."""
    gamma, meshes, (row, column) = light(seed=2), head(), (17, 24)
    image = renderer(make_rasterizer, SHShader(gamma))(meshes)[0]
    vertices, faces = meshes.verts_packed().double(), meshes.faces_packed()
    pixels, depth = scenes.project(vertices, SIZE)
    index, bary, _ = scenes.rasterize_slowly(pixels, depth, faces, SIZE)
    corners, weights = faces[index[row, column]], bary[row, column]
    normals = torch.zeros_like(vertices)
    for a, b, c in faces.tolist():
        normals[[a, b, c]] += torch.linalg.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    normals = torch.nn.functional.normalize(normals, dim=-1)
    normal = torch.nn.functional.normalize(weights @ normals[corners], dim=0)
    reflectance = weights @ meshes.textures.verts_features_packed().double()[corners]
    expected = reflectance * harmonics.irradiance(normal[None, None], gamma.double())[0, 0]
    assert normal.abs().min() > 0.05  # neither axis nor symmetry hides an exchange of coordinates
    torch.testing.assert_close(image[row, column, :3].double(), expected, atol=1e-4, rtol=0)
    assert image[row, column, 3] == 1


@both_rasterizers
def test_back_faces_are_empty(make_rasterizer):
    shader = SHShader(light(), blend_params=BlendParams(background_color=(0.1, 0.2, 0.3)))
    render = renderer(make_rasterizer, shader)
    front, back = render(tilted_triangle()), render(tilted_triangle(flip=True))
    assert front[..., 3].sum() > 100
    assert back[..., 3].sum() == 0
    torch.testing.assert_close(back[..., :3], torch.tensor([0.1, 0.2, 0.3]).expand(1, SIZE, SIZE, 3))


def test_background_color():
    gamma, meshes = light(), head()
    black = renderer(CpuRasterizer, SHShader(gamma, blend_params=BlendParams(background_color=(0.0, 0.0, 0.0))))(meshes)
    empty = black[..., 3] == 0
    assert 100 < empty.sum() < SIZE * SIZE - 100
    assert (black[empty] == 0).all()
    blue = BlendParams(background_color=(0.0, 0.0, 1.0))
    image = renderer(CpuRasterizer, SHShader(gamma))(meshes, blend_params=blue)
    assert (image[empty] == torch.tensor([0.0, 0.0, 1.0, 0.0])).all()
    assert torch.equal(image[~empty], black[~empty])


def test_shapes_of_illumination():
    meshes = head().extend(2)
    gamma = light(2)
    each = renderer(CpuRasterizer, SHShader(gamma))(meshes)
    assert not torch.equal(each[0], each[1])
    for i in range(2):
        shared = renderer(CpuRasterizer, SHShader(gamma[i]))(meshes)
        assert torch.equal(shared[0], shared[1])
        torch.testing.assert_close(shared[0], each[i])
        torch.testing.assert_close(renderer(CpuRasterizer, SHShader(gamma[i : i + 1]))(meshes), shared)
        torch.testing.assert_close(renderer(CpuRasterizer, SHShader())(meshes, illumination=gamma[i]), shared)


def test_without_illumination_the_light_is_even():
    image = renderer(CpuRasterizer, SHShader())(white_head())[0]
    colors = image[..., :3][image[..., 3] == 1]
    assert len(colors) > 100
    torch.testing.assert_close(colors, torch.full_like(colors, 0.7))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("shape", [(3, 9, 3), (2, 3, 9), (27,), (9, 1)])
def test_other_shapes_of_illumination_are_refused(shape):
    render = renderer(CpuRasterizer, SHShader(torch.zeros(shape)))
    with pytest.raises(ValueError, match=r"expected illumination \(2, 9, 3\), got"):
        render(head().extend(2))


def test_missing_cameras_and_textures_are_named():
    cameras, settings = scenes.pytorch3d_cameras(SIZE), RasterizationSettings(image_size=SIZE)
    render = MeshRenderer(CpuRasterizer(cameras, settings), SHShader())
    with pytest.raises(ValueError, match="needs cameras"):
        render(head())
    assert render(head(), cameras=cameras)[..., 3].sum() > 100
    bare = Meshes(head().verts_list(), head().faces_list())
    with pytest.raises(ValueError, match="TexturesVertex"):
        render(bare, cameras=cameras)


@both_rasterizers
def test_equals_the_renderer_of_scenes(make_rasterizer):
    """PyTorch3D's `MeshRenderer` with this shader forms the image that our renderer forms."""
    scene = Decoder(make_tiny_model(), Camera(SIZE))(make_code(3, dtype=torch.float32))
    settings = RasterizationSettings(image_size=SIZE, cull_backfaces=True)
    shader = SHShader(scene.illumination, scene.cameras, BlendParams(background_color=(0.0, 0.0, 0.0)))
    image = MeshRenderer(make_rasterizer(scene.cameras, settings), shader)(scene.meshes).permute(0, 3, 1, 2)
    expected = make_renderer("cpu", antialias=False)(scene).image
    same = image[:, 3] == expected[:, 3]
    covered = (expected[:, 3] == 1).float().mean()
    assert 0.2 < covered < 0.9
    assert same.float().mean() > 0.999
    difference = (image.clamp(0, 1) - expected).abs().amax(dim=1)[same]
    # Where a pixel centre lies on an edge the two may see different faces, of slightly different colors.
    assert difference.quantile(0.99) < 1e-4
    assert difference.max() < 2e-3


def test_gradients_reach_vertices_reflectance_and_light():
    vertices, faces = scenes.ellipsoid(16)
    leaves = (
        vertices.clone().requires_grad_(),
        torch.full((len(vertices), 3), 0.5).requires_grad_(),
        light().requires_grad_(),
    )

    def total(vertices, reflectance, gamma) -> torch.Tensor:
        image = renderer(CpuRasterizer, SHShader(gamma))(textured(vertices, faces, reflectance))
        return (image[..., :3] * weights).sum()

    weights = torch.randn(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(3))
    gradients = torch.autograd.grad(total(*leaves), leaves)
    for number, (leaf, step) in enumerate(zip(leaves, (0.02, 0.05, 0.05), strict=True)):
        direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(4))
        if number == 0:
            direction[:, :2] = 0  # moves along the viewing direction change no visibility
            direction[:, 2] = direction[:, 2].sign()
        moved = [[*leaves[:number], leaf + sign * step * direction, *leaves[number + 1 :]] for sign in (1, -1)]
        with torch.no_grad():
            measured = float(total(*moved[0]) - total(*moved[1])) / (2 * step)
        assert float((gradients[number] * direction).sum()) == pytest.approx(measured, rel=0.03)


def test_soft_blending_mixes_fragments():
    gamma, blending = light(), BlendParams(sigma=1e-4, gamma=1e-4, background_color=(0.0, 0.0, 0.0))
    render = renderer(MeshRasterizer, SHShader(gamma, blend_params=blending), faces_per_pixel=4, blur_radius=1e-3)
    image = render(white_head())[0]
    hard = renderer(CpuRasterizer, SHShader(gamma))(white_head())[0]
    inside = torch.nn.functional.avg_pool2d(hard[None, ..., 3], 5, 1, 2)[0] == 1
    assert inside.sum() > 100
    difference = (image[..., :3] - hard[..., :3])[inside].abs()
    assert difference.mean() < 0.01  # fragments reach out by half a pixel, so the colors do too
    assert difference.max() < 0.1
    border = (image[..., 3] > 0.01) & (image[..., 3] < 0.99)
    assert border.sum() > 20
    nothing = render(tilted_triangle(flip=True))
    assert torch.isfinite(nothing).all()
    assert (nothing[..., 3] == 0).all()
