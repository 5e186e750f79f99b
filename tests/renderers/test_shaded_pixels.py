"""Pixels that are shaded in one pass equal those that are interpolated and shaded one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mofa3d import Camera, Decoder
from mofa3d.renderers.cpu_rasterizer import rasterize_scene
from mofa3d.renderers.interpolate import interpolate
from mofa3d.renderers.rasterized import shade_fragments
from mofa3d.renderers.shaded_pixels import shade_pixels
from mofa3d.renderers.shader import shade

pytestmark = pytest.mark.processor

BATCH, SIZE, VERTICES, FACES = 3, 6, 7, 5


def make_inputs(dtype=torch.float64) -> tuple[Tensor, list[Tensor], Tensor]:
    """Face indices, some of them empty; what is differentiated; and faces."""
    generator = torch.Generator().manual_seed(0)
    faces = torch.stack([torch.randperm(VERTICES, generator=generator)[:3] for _ in range(FACES)])
    pix_to_face = torch.randint(-1, FACES, (BATCH, SIZE, SIZE), generator=generator)
    pix_to_face = torch.where(pix_to_face < 0, -1, pix_to_face + FACES * torch.arange(BATCH).view(-1, 1, 1))
    assert 0 < int((pix_to_face < 0).sum()) < BATCH * SIZE * SIZE / 2
    shapes = [(BATCH, SIZE, SIZE, 3), (BATCH, VERTICES, 3), (BATCH, VERTICES, 3), (BATCH, 9, 3)]
    bary, reflectance, normals, light = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return pix_to_face, [bary.abs(), reflectance, normals, light], faces


def slowly(pix_to_face: Tensor, given: list[Tensor], faces: Tensor) -> Tensor:
    bary, reflectance, normals, light = given
    attributes = torch.cat([reflectance, normals], dim=-1)
    values = interpolate(pix_to_face[..., None], bary[..., None, :], attributes, faces)
    return shade(values[..., :3], values[..., 3:], light)[..., 0, :]


def gradients(colors: Tensor, given: list[Tensor]) -> list[Tensor]:
    weights = torch.rand(colors.shape, generator=torch.Generator().manual_seed(1), dtype=colors.dtype)
    return list(torch.autograd.grad((weights * colors).sum(), given))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_values_and_gradients_are_those_of_both_steps(dtype, tolerance):
    pix_to_face, given, faces = make_inputs(dtype)
    given = [tensor.requires_grad_() for tensor in given]
    ours, theirs = shade_pixels(pix_to_face, *given, faces), slowly(pix_to_face, given, faces)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    assert (ours[pix_to_face < 0] == 0).all()
    assert float(ours.detach().abs().max()) > 0.5
    for found, expected in zip(gradients(ours, given), gradients(theirs, given), strict=True):
        assert float(expected.abs().max()) > 0.1
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=10 * tolerance)


def test_gradients_are_the_derivatives():
    pix_to_face, given, faces = make_inputs()
    given = [tensor.requires_grad_() for tensor in given]
    assert torch.autograd.gradcheck(lambda *leaves: shade_pixels(pix_to_face, *leaves, faces), given)


def test_normals_of_no_length_have_no_direction():
    pix_to_face, given, faces = make_inputs()
    given[2] = torch.zeros_like(given[2])
    given = [tensor.requires_grad_() for tensor in given]
    ours, theirs = shade_pixels(pix_to_face, *given, faces), slowly(pix_to_face, given, faces)
    torch.testing.assert_close(ours, theirs)
    for found, expected in zip(gradients(ours, given), gradients(theirs, given), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_images_of_a_batch_do_not_meet_however_many_threads_there_are(threads):
    pix_to_face, given, faces = make_inputs()
    given = [tensor.requires_grad_() for tensor in given]
    together = shade_pixels(pix_to_face, *given, faces)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first = [tensor.detach()[:1].requires_grad_() for tensor in given]
        alone = shade_pixels(pix_to_face[:1], *first, faces)
        found = torch.autograd.grad(alone.square().sum(), first)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, together[:1])
    for ours, theirs in zip(found, torch.autograd.grad(together.square().sum(), given), strict=True):
        torch.testing.assert_close(ours, theirs[:1])


def test_second_derivatives_are_refused():
    pix_to_face, given, faces = make_inputs()
    given = [tensor.requires_grad_() for tensor in given]
    total = shade_pixels(pix_to_face, *given, faces).square().sum()
    [first] = torch.autograd.grad(total, given[1:2], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_fragments_of_a_scene_are_shaded_alike_whoever_interpolates(tiny_model, tiny_code):
    scene = Decoder(tiny_model, Camera(48))(tiny_code)
    fragments = rasterize_scene(scene)

    def by_hand(fragments, attributes, faces):
        return interpolate(fragments.pix_to_face, fragments.bary_coords, attributes, faces)

    ours, theirs = shade_fragments(fragments, scene), shade_fragments(fragments, scene, by_hand)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert float((ours > 0.1).float().mean()) > 0.1
