from __future__ import annotations

import pytest
import torch

from mofa3d.renderers.interpolate import _gather, interpolate

pytestmark = pytest.mark.processor

BATCH, SIZE, VERTICES, CHANNELS = 3, 4, 7, 3


def make_inputs(packed: bool, faces_per_pixel: int = 1, dtype=torch.float64):
    """Random fragments, some of them empty, of three images; packed, the faces index the vertices of all."""
    generator = torch.Generator().manual_seed(0)
    faces = torch.stack([torch.randperm(VERTICES, generator=generator)[:3] for _ in range(6)])
    pix_to_face = torch.randint(-1, len(faces), (BATCH, SIZE, SIZE, faces_per_pixel), generator=generator)
    image = torch.arange(BATCH).view(-1, 1, 1, 1)
    pix_to_face = torch.where(pix_to_face < 0, -1, pix_to_face + image * len(faces))
    bary = torch.rand(*pix_to_face.shape, 3, generator=generator, dtype=dtype)
    attributes = torch.randn(BATCH, VERTICES, CHANNELS, generator=generator, dtype=dtype)
    if packed:
        faces = torch.cat([faces + i * VERTICES for i in range(BATCH)])
        attributes = attributes.flatten(0, 1)
    assert (pix_to_face < 0).any()
    assert (pix_to_face >= 0).float().mean() > 0.5
    return pix_to_face, bary, attributes, faces


def slowly(pix_to_face, bary, attributes, faces) -> torch.Tensor:
    """The definition, fragment by fragment."""
    values = torch.zeros(*pix_to_face.shape, attributes.shape[-1], dtype=attributes.dtype)
    for image, row, column, layer in (pix_to_face >= 0).nonzero().tolist():
        face = int(pix_to_face[image, row, column, layer])
        vertices = attributes
        if attributes.ndim == 3:
            face, vertices = face - image * len(faces), attributes[image]
        for weight, vertex in zip(bary[image, row, column, layer], faces[face].tolist(), strict=True):
            values[image, row, column, layer] += weight * vertices[vertex]
    return values


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("faces_per_pixel", [1, 3])
def test_values_equal_a_loop(packed, faces_per_pixel):
    inputs = make_inputs(packed, faces_per_pixel)
    expected = slowly(*inputs)
    torch.testing.assert_close(interpolate(*inputs), expected)
    torch.testing.assert_close(_gather(*inputs), expected)
    empty = inputs[0] < 0
    assert (interpolate(*inputs)[empty] == 0).all()
    assert (expected[~empty] != 0).all()


def test_packed_and_batched_attributes_give_the_same():
    assert torch.equal(interpolate(*make_inputs(packed=True)), interpolate(*make_inputs(packed=False)))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("faces_per_pixel", [1, 2])
def test_gradients(packed, faces_per_pixel):
    pix_to_face, bary, attributes, faces = make_inputs(packed, faces_per_pixel)
    leaves = bary.requires_grad_(), attributes.requires_grad_()
    assert torch.autograd.gradcheck(lambda bary, attributes: interpolate(pix_to_face, bary, attributes, faces), leaves)


@pytest.mark.parametrize("packed", [True, False])
def test_gradients_of_the_kernel_equal_those_of_gathering(packed):
    pix_to_face, bary, attributes, faces = make_inputs(packed)
    leaves = bary.requires_grad_(), attributes.requires_grad_()
    weights = torch.randn(BATCH, SIZE, SIZE, 1, CHANNELS, generator=torch.Generator().manual_seed(1)).double()
    # Not contiguous, as a gradient may be that comes from a permuted image.
    weights = weights.transpose(1, 2)
    ours = torch.autograd.grad((interpolate(pix_to_face, bary, attributes, faces) * weights).sum(), leaves)
    expected = torch.autograd.grad((_gather(pix_to_face, bary, attributes, faces) * weights).sum(), leaves)
    for value, reference in zip(ours, expected, strict=True):
        torch.testing.assert_close(value, reference)
    assert (ours[0][pix_to_face < 0] == 0).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_bands_of_one_image_add_up(threads):
    """With several threads an image is cut into bands that share vertices."""
    pix_to_face, bary, attributes, faces = make_inputs(packed=False)
    attributes.requires_grad_()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        values = interpolate(pix_to_face[:1], bary[:1], attributes[:1], faces)
        (gradient,) = torch.autograd.grad(values.square().sum(), attributes)
    finally:
        torch.set_num_threads(before)
    reference = _gather(pix_to_face[:1], bary[:1], attributes[:1], faces)
    torch.testing.assert_close(values, reference)
    torch.testing.assert_close(gradient, torch.autograd.grad(reference.square().sum(), attributes)[0])


def test_float32_and_no_images():
    inputs = make_inputs(packed=False, dtype=torch.float32)
    values = interpolate(*inputs)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, slowly(*inputs))
    pix_to_face, bary, attributes, faces = inputs
    assert interpolate(pix_to_face[:0], bary[:0], attributes[:0], faces).shape == (0, SIZE, SIZE, 1, CHANNELS)


def test_only_empty_pixels_need_no_faces():
    pix_to_face, bary, attributes, faces = make_inputs(packed=False)
    nothing = torch.full_like(pix_to_face, -1)
    assert (interpolate(nothing, bary, attributes, faces[:0]) == 0).all()


def test_attributes_of_other_dimensions_are_refused():
    pix_to_face, bary, attributes, faces = make_inputs(packed=False)
    for wrong in (attributes[0, :, 0], attributes[None]):
        with pytest.raises(ValueError, match=r"expected attributes \(B, N, D\) or packed \(V, D\), got"):
            interpolate(pix_to_face, bary, wrong, faces)
