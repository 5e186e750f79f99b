"""The fused loss gives the numbers and derivatives of decoder, vertex renderer and loss, one after the other."""

from __future__ import annotations

from functools import partial

import pytest
import torch

import vertex_scenes
from conftest import make_code, make_tiny_model
from mofa3d.camera import Camera
from mofa3d.code_sizes import CodeSizes
from mofa3d.decoder import Decoder
from mofa3d.fused_vertex_loss import FusedVertexLoss
from mofa3d.semantic_code import SemanticCode
from vertex_scenes import CAMERA, POSES, copy_of, in_double, make_images, make_vector, reference

assert_agrees = partial(vertex_scenes.assert_agrees, FusedVertexLoss)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize(("area_weights", "cost"), [(False, 0.0), (True, 0.14)])
def test_numbers_and_gradients_are_those_of_the_plain_path(tiny_model, pose, area_weights, cost):
    vector = make_vector(4, tiny_model.sizes, pose)
    gradient = assert_agrees(tiny_model, CAMERA, vector, make_images(4), area_weights, cost)
    if pose in ("outside", "from behind"):
        assert not gradient.any()
    else:
        assert (gradient.norm(dim=1) > 1e-3).all()


def test_batches_of_more_images_than_lie_side_by_side(tiny_model):
    assert_agrees(tiny_model, CAMERA, make_vector(19, tiny_model.sizes), make_images(19), True, 0.1)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_images(tiny_model, size):
    image = make_images(2)[:, :, :size, :size].contiguous()
    assert_agrees(tiny_model, Camera(size), make_vector(2, tiny_model.sizes), image, cost=0.1)


def test_every_block_of_the_code_has_its_gradient(tiny_model):
    vector = make_vector(3, tiny_model.sizes)
    *_, expected = reference(in_double(tiny_model), CAMERA, vector, make_images(3), False, 0.0)
    ours = assert_agrees(tiny_model, CAMERA, vector, make_images(3)).double()
    for name, where in tiny_model.sizes.slices.items():
        assert (ours - expected)[:, where].norm() < 3e-4 * expected[:, where].norm(), name


@pytest.mark.parametrize("area_weights", [False, True])
def test_the_default_model(default_model, area_weights):
    camera = Camera(240)
    vector = make_vector(5, default_model.sizes)
    assert_agrees(default_model, camera, vector, make_images(5, 240), area_weights, 0.1)


def test_landmarks_are_differentiable(tiny_model):
    vector, weights = make_vector(3, tiny_model.sizes), torch.rand(3, 68, 2, dtype=torch.float64)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = vector.to(dtype).requires_grad_()
        code = SemanticCode.from_vector(leaf, tiny_model.sizes)
        if dtype == torch.float32:
            points = FusedVertexLoss(tiny_model, CAMERA)(code, make_images(3)).landmarks
        else:
            points = Decoder(in_double(tiny_model), CAMERA, fused=False)(code).landmarks
        gradients.append(torch.autograd.grad((points * weights.to(dtype)).sum(), leaf)[0].double())
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_each_image_has_its_own_factor(tiny_model):
    fused, image = FusedVertexLoss(tiny_model, CAMERA), make_images(3)
    leaf = make_vector(3, tiny_model.sizes).float().requires_grad_()
    seen = fused(SemanticCode.from_vector(leaf, tiny_model.sizes), image)
    factors = torch.tensor([1.0, -2.0, 0.0])
    (whole,) = torch.autograd.grad(seen.photometric.sum(), leaf, retain_graph=True)
    (scaled,) = torch.autograd.grad((factors * seen.photometric).sum(), leaf, retain_graph=True)
    torch.testing.assert_close(scaled, factors[:, None] * whole)
    with pytest.raises(RuntimeError, match=r"differentiable once; for higher derivatives .* use Decoder"):
        torch.autograd.grad(seen.photometric.sum(), leaf, create_graph=True)
    assert not seen.photometric_error.requires_grad


def test_number_of_threads_does_not_matter(tiny_model, monkeypatch):
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        leaf = make_vector(3, tiny_model.sizes).float().requires_grad_()
        code = SemanticCode.from_vector(leaf, tiny_model.sizes)
        loss = FusedVertexLoss(tiny_model, CAMERA, True)(code, make_images(3)).photometric
        results.append((loss, *torch.autograd.grad(loss.sum(), leaf)))
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


@pytest.mark.parametrize("block", ["shape", "translation", "illumination"])
def test_nan_comes_through_and_stays_in_its_image(tiny_model, block):
    vector = make_vector(3, tiny_model.sizes).float()
    vector[1, tiny_model.sizes.slices[block].start] = float("nan")
    seen = FusedVertexLoss(tiny_model, CAMERA)(SemanticCode.from_vector(vector, tiny_model.sizes), make_images(3))
    assert seen.photometric.isnan().tolist() == [False, True, False]


def test_a_perfect_match_has_no_gradient(tiny_model):
    code = SemanticCode.zeros(1, tiny_model.sizes)
    flat = copy_of(tiny_model)
    flat.mean_reflectance.fill_(0.5)
    leaf = code.to_vector().requires_grad_()
    image = torch.full((1, 3, 64, 64), 0.35)  # in the ambient light of 0.7
    loss = FusedVertexLoss(flat, CAMERA)(SemanticCode.from_vector(leaf, flat.sizes), image).photometric
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    assert loss.detach() < 1e-5
    assert gradient.isfinite().all()


def test_no_gradient_asked_for(tiny_model):
    code, image = make_code(2, tiny_model.sizes, dtype=torch.float32), make_images(2)
    with torch.no_grad():
        seen = FusedVertexLoss(tiny_model, CAMERA)(code, image)
    assert not seen.photometric.requires_grad
    expected, *_ = reference(in_double(tiny_model), CAMERA, code.to_vector(), image, False, 0.0)
    torch.testing.assert_close(seen.photometric.double(), expected, rtol=1e-5, atol=0)


def test_vertices_without_area_have_finite_gradients(tiny_model):
    model = copy_of(tiny_model)
    for buffer in (model.mean_shape, model.shape_basis, model.expression_basis):
        buffer[:] = buffer[:1].clone()  # all in one point
    leaf = make_vector(2, model.sizes).float().requires_grad_()
    loss = FusedVertexLoss(model, CAMERA)(SemanticCode.from_vector(leaf, model.sizes), make_images(2)).photometric
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    assert not loss.any()
    assert gradient.isfinite().all()


def test_what_does_not_fit_is_refused(tiny_model):
    with pytest.raises(ValueError, match=r"takes float32 models on the CPU, got torch\.float64 on cpu; use Decoder"):
        FusedVertexLoss(make_tiny_model(dtype=torch.float64), CAMERA)
    fused = FusedVertexLoss(tiny_model, CAMERA)
    with pytest.raises(ValueError, match=r"was made for codes of .* got"):
        fused(make_code(2, CodeSizes(4, 4, 6), dtype=torch.float32), make_images(2))
    with pytest.raises(ValueError, match=r"expected images of shape \(2, 3, 64, 64\), as many as codes, got \(3, 3,"):
        fused(make_code(2, dtype=torch.float32), make_images(3))
    for image in (make_images(2).double(), make_images(2).half()):
        with pytest.raises(ValueError, match=r"expected float32 images on cpu, where the codes are, got torch\.float"):
            fused(make_code(2, dtype=torch.float32), image)
