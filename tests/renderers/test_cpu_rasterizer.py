from __future__ import annotations

import pytest
import raster_scenes as scenes
import torch
from pytorch3d.renderer import FoVOrthographicCameras, MeshRasterizer, RasterizationSettings
from pytorch3d.structures import Meshes

from mofa3d.renderers.cpu_rasterizer import CpuRasterizer, rasterize

pytestmark = pytest.mark.processor


def agreement(ours, theirs) -> tuple[float, float]:
    """Share of covered pixels with the same face, and the largest difference of coordinates where it is the same."""
    covered = (ours.pix_to_face >= 0) | (theirs.pix_to_face >= 0)
    same = covered & (ours.pix_to_face == theirs.pix_to_face)
    share = (same.sum() / covered.sum()).item()
    return share, (ours.bary_coords - theirs.bary_coords)[same].abs().max().item()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("perspective", [True, False])
def test_equals_slow_reference_on_random_triangles(seed, perspective):
    generator = torch.Generator().manual_seed(seed)
    pixels, depth, faces = scenes.random_soup(100, 33, generator)
    fragments = rasterize(pixels, depth, faces, 33, perspective_correct=perspective)
    face_index, coordinates, nearest = scenes.rasterize_slowly(pixels[0], depth[0], faces, 33, perspective)
    assert (face_index >= 0).float().mean() > 0.5
    assert torch.equal(fragments.pix_to_face[0, ..., 0], face_index)
    torch.testing.assert_close(fragments.bary_coords[0, ..., 0, :], coordinates, atol=1e-9, rtol=0)
    covered = face_index >= 0
    torch.testing.assert_close(fragments.zbuf[0, ..., 0][covered], nearest[covered], atol=1e-7, rtol=0)
    assert (fragments.zbuf[0, ..., 0][~covered] == -1).all()
    assert (fragments.dists[0, ..., 0][~covered] == -1).all()


@pytest.mark.parametrize("perspective", [True, False])
def test_depth_alone_is_the_same(perspective):
    pixels, depth, faces = scenes.random_soup(100, 33, torch.Generator().manual_seed(0))
    both = torch.cat([pixels, pixels.flip(2)]), torch.cat([depth, depth])
    options = {"cull_backfaces": True, "perspective_correct": perspective}
    full, alone = (rasterize(*both, faces, 33, only_depth=only, **options) for only in (False, True))
    assert 0.3 < (full.pix_to_face >= 0).float().mean() < 1
    assert torch.equal(alone.pix_to_face, full.pix_to_face)
    torch.testing.assert_close(alone.zbuf, full.zbuf, atol=1e-7, rtol=1e-7)
    assert (alone.bary_coords == -1).all()
    assert (alone.dists == -1).all()


def test_agrees_with_pytorch3d_on_a_head():
    vertices, faces = scenes.ellipsoid(32)
    cameras, settings = scenes.pytorch3d_cameras(64), RasterizationSettings(image_size=64)
    meshes = Meshes([vertices], [faces])
    theirs = MeshRasterizer(cameras, settings)(meshes)
    ours = CpuRasterizer(cameras, settings)(meshes)
    assert type(ours) is type(theirs)
    share, difference = agreement(ours, theirs)
    assert share >= 0.999
    assert difference < 1e-3
    same = ours.pix_to_face == theirs.pix_to_face
    torch.testing.assert_close(ours.zbuf[same], theirs.zbuf[same], atol=0.01, rtol=0)
    torch.testing.assert_close(ours.dists[same], theirs.dists[same], atol=1e-6, rtol=0)


def test_plain_function_agrees_with_pytorch3d_cameras():
    vertices, faces = scenes.ellipsoid(32)
    pixels, depth = scenes.project(vertices, 64)
    cameras, settings = scenes.pytorch3d_cameras(64), RasterizationSettings(image_size=64)
    share, difference = agreement(
        rasterize(pixels[None], depth[None], faces, 64), CpuRasterizer(cameras, settings)(Meshes([vertices], [faces]))
    )
    assert share >= 0.999
    assert difference < 1e-3


@pytest.mark.parametrize("cull", [False, True])
def test_agrees_with_pytorch3d_on_different_meshes_and_soups(cull):
    generator = torch.Generator().manual_seed(7)
    half_size = torch.tensor([300.0, 300.0, 200.0])
    soups = [(torch.rand(3 * count, 3, generator=generator) - 0.5) * half_size for count in (40, 90)]
    soups[1][:30, 2] += 950  # reaches and passes the camera
    meshes = Meshes(soups, [torch.arange(len(soup)).view(-1, 3) for soup in soups])
    cameras, settings = scenes.pytorch3d_cameras(48), RasterizationSettings(image_size=48, cull_backfaces=cull)
    share, difference = agreement(CpuRasterizer(cameras, settings)(meshes), MeshRasterizer(cameras, settings)(meshes))
    assert share >= 0.999
    assert difference < 1e-3


def test_agrees_with_pytorch3d_on_wide_image_and_orthographic_camera():
    vertices, faces = scenes.ellipsoid(20)
    meshes = Meshes([vertices / 100], [faces])
    cameras = FoVOrthographicCameras(T=torch.tensor([[0.1, 0.2, 5.0]]), min_x=-1.5, max_x=1.5, min_y=-1.5, max_y=1.5)
    settings = RasterizationSettings(image_size=(40, 56))
    share, difference = agreement(CpuRasterizer(cameras, settings)(meshes), MeshRasterizer(cameras, settings)(meshes))
    assert share >= 0.999
    assert difference < 1e-3


def test_packed_index_counts_images():
    vertices, faces = scenes.ellipsoid(16)
    pixels, depth = scenes.project(vertices, 32)
    one = rasterize(pixels[None], depth[None], faces, 32).pix_to_face
    three = rasterize(pixels.expand(3, -1, -1), depth.expand(3, -1), faces, 32).pix_to_face
    for image in range(3):
        assert torch.equal(three[image], torch.where(one[0] < 0, one[0], one[0] + image * len(faces)))


def test_nearer_triangle_wins_and_orientation_of_the_image():
    """A small near triangle in the top-left corner lies over one that covers everything."""
    pixels = torch.tensor([[[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [-90.0, -90.0], [-90.0, 190.0], [190.0, -90.0]]])
    depth = torch.tensor([[10.0, 10, 10, 20, 20, 20]])
    fragments = rasterize(pixels, depth, torch.tensor([[3, 4, 5], [0, 1, 2]]), 8)
    expected = torch.zeros(8, 8, dtype=torch.long)
    expected[0, :4] = expected[:4, 0] = 1
    expected[1, :3] = expected[2, :2] = 1
    assert torch.equal(fragments.pix_to_face[0, ..., 0], expected)
    assert fragments.zbuf[0, 0, 0, 0] == 10
    assert fragments.zbuf[0, 7, 7, 0] == 20


def test_no_holes_between_faces():
    """A finely jittered grid, some of whose vertices lie exactly on pixel centres, covers every pixel."""
    generator = torch.Generator().manual_seed(1)
    count, size = 40, 32
    axis = torch.linspace(-1, size + 1, count)
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    pixels += 0.25 * (torch.rand(pixels.shape, generator=generator) - 0.5)
    pixels[5::7] = pixels[5::7].floor() + 0.5
    index = torch.arange(count * count).view(count, count)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])
    fragments = rasterize(pixels.view(1, -1, 2), torch.full((1, count * count), 5.0), faces, size)
    assert (fragments.pix_to_face >= 0).all()


def test_culling_keeps_faces_seen_counter_clockwise():
    pixels = torch.tensor([[[1.0, 7.0], [7.0, 7.0], [4.0, 1.0]]])  # counter-clockwise for a viewer, y down
    depth = torch.ones(1, 3)
    assert (rasterize(pixels, depth, torch.tensor([[0, 1, 2]]), 8, cull_backfaces=True).pix_to_face >= 0).any()
    assert (rasterize(pixels, depth, torch.tensor([[0, 2, 1]]), 8, cull_backfaces=True).pix_to_face < 0).all()
    assert (rasterize(pixels, depth, torch.tensor([[0, 2, 1]]), 8).pix_to_face >= 0).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_survives_bad_vertices(bad):
    pixels, depth, faces = scenes.random_soup(50, 32, torch.Generator().manual_seed(3), torch.float32)
    whole = rasterize(pixels, depth, faces, 32)
    pixels, depth = pixels.clone(), depth.clone()
    pixels[0, 0, 0], pixels[0, 4, 1], depth[0, 8] = bad, bad, bad
    pixels.requires_grad_()
    fragments = rasterize(pixels, depth, faces, 32)
    covered = fragments.pix_to_face >= 0
    # A vertex that is merely far away makes a legal, huge triangle; one that is not finite removes its face.
    if abs(bad) != 1e30:
        assert not torch.isin(fragments.pix_to_face, torch.arange(3)).any()
        assert torch.isfinite(fragments.bary_coords).all()
    untouched = covered & (fragments.pix_to_face == whole.pix_to_face) & (fragments.pix_to_face > 2)
    assert untouched.any()
    torch.testing.assert_close(fragments.bary_coords[untouched], whole.bary_coords[untouched])
    fragments.bary_coords[untouched].sum().backward()
    assert torch.isfinite(pixels.grad[0, 9:]).all()


def test_degenerate_and_empty_input():
    flat = torch.tensor([[[1.0, 1.0], [4.0, 4.0], [7.0, 7.0], [3.0, 3.0]]])
    faces = torch.tensor([[0, 1, 2], [0, 0, 1], [3, 3, 3]])
    assert (rasterize(flat, torch.ones(1, 4), faces, 8).pix_to_face == -1).all()
    assert (rasterize(flat, torch.ones(1, 4), faces[:0], 8).pix_to_face == -1).all()
    assert rasterize(flat[:0], torch.ones(0, 4), faces, 8).pix_to_face.shape == (0, 8, 8, 1)


@pytest.mark.parametrize("perspective", [True, False])
def test_gradients_equal_autograd_of_reference(perspective):
    pixels, depth, faces = scenes.random_soup(30, 24, torch.Generator().manual_seed(5))
    pixels, depth = pixels.repeat(2, 1, 1), depth.repeat(2, 1)
    pixels[1] += 0.3
    pixels.requires_grad_(), depth.requires_grad_()
    fragments = rasterize(pixels, depth, faces, 24, perspective_correct=perspective)
    weights = torch.randn(2, 24, 24, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    covered = fragments.pix_to_face[..., 0] >= 0
    loss = (fragments.bary_coords[..., 0, :] * weights[..., :3])[covered].sum()
    loss = loss + (fragments.zbuf[..., 0] * weights[..., 3])[covered].sum()
    ours = torch.autograd.grad(loss, [pixels, depth])

    image, row, column = covered.nonzero(as_tuple=True)
    corners = faces[fragments.pix_to_face[..., 0][covered] - image * len(faces)]
    points = scenes.pixel_centres(24)[row, column]
    bary, z = scenes.barycentric(points, pixels[image[:, None], corners], depth[image[:, None], corners], perspective)
    reference = (torch.cat([bary, z[:, None]], -1) * weights[covered]).sum()
    for value, expected in zip(ours, torch.autograd.grad(reference, [pixels, depth]), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-9 * expected.abs().max().item())


def test_gradients_reach_the_meshes_as_in_pytorch3d():
    vertices, faces = scenes.ellipsoid(16)
    cameras, settings = scenes.pytorch3d_cameras(32), RasterizationSettings(image_size=32)
    weights = torch.randn(1, 32, 32, 1, 3, generator=torch.Generator().manual_seed(0))
    gradients = []
    for rasterizer in (CpuRasterizer(cameras, settings), MeshRasterizer(cameras, settings)):
        leaf = vertices.clone().requires_grad_()
        fragments = rasterizer(Meshes([leaf], [faces]))
        loss = ((fragments.bary_coords * weights).sum(-1) * (fragments.pix_to_face >= 0)).sum()
        gradients.append(torch.autograd.grad(loss, leaf)[0])
    ours, theirs = gradients
    assert torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.9999
    assert (ours.norm() / theirs.norm() - 1).abs() < 1e-2


def test_number_of_threads_does_not_matter():
    vertices, faces = scenes.ellipsoid(24)
    pixels, depth = scenes.project(vertices, 50)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            leaf = pixels[None].clone().requires_grad_()
            fragments = rasterize(leaf, depth[None], faces, 50)
            fragments.bary_coords.square().sum().backward()
            results.append((fragments.pix_to_face, fragments.bary_coords.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-4, atol=1e-4)


def test_raster_settings_in_forward_override():
    vertices, faces = scenes.ellipsoid(12)
    cameras = scenes.pytorch3d_cameras(32)
    fragments = CpuRasterizer()(
        Meshes([vertices], [faces]), cameras=cameras, raster_settings=RasterizationSettings(image_size=32)
    )
    assert fragments.pix_to_face.shape == (1, 32, 32, 1)
    assert (fragments.pix_to_face >= 0).any()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"faces_per_pixel": 2}, "faces_per_pixel"),
        ({"blur_radius": 0.1}, "blur_radius"),
        ({"z_clip_value": 1.0}, "z_clip"),
    ],
)
def test_unsupported_settings_are_refused(settings, name):
    with pytest.raises(ValueError, match=name):
        CpuRasterizer(raster_settings=RasterizationSettings(**settings))


@pytest.mark.usefixtures("unchecked_types")
def test_bad_arguments_are_refused():
    pixels, depth, faces = torch.zeros(1, 3, 2), torch.ones(1, 3), torch.tensor([[0, 1, 3]])
    with pytest.raises(ValueError, match="index 3 vertices"):
        rasterize(pixels, depth, faces, 8)
    with pytest.raises(ValueError, match="pixels"):
        rasterize(pixels, depth[:, :2], faces, 8)
    with pytest.raises(ValueError, match="image_size"):
        rasterize(pixels, depth, faces % 3, 0)
    with pytest.raises(ValueError, match="cameras"):
        CpuRasterizer()(Meshes([torch.zeros(3, 3)], [faces % 3]))
