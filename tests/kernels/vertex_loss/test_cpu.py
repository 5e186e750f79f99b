"""The fused loss gives the numbers and derivatives of decoder, vertex renderer and loss, one after the other."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import vertex_scenes
from fused_loss_tests import FusedLossTests
from tiny_model import make_tiny_model
from vertex_scenes import CAMERA, in_double, make_images, make_vector

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.morphable_model import MorphableModel
from mofa3d.semantic_code import SemanticCode

pytestmark = pytest.mark.processor

assert_agrees = partial(vertex_scenes.assert_agrees, FusedVertexLoss)


class TestAgainstThePlainPath(FusedLossTests):
    kind, block_tolerance = FusedVertexLoss, 3e-4

    @pytest.fixture
    def model(self) -> MorphableModel:
        return make_tiny_model()


def test_batches_of_more_images_than_lie_side_by_side(tiny_model):
    assert_agrees(tiny_model, CAMERA, make_vector(19, tiny_model.sizes), make_images(19), True, 0.1)


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


def test_number_of_threads_does_not_matter(tiny_model, monkeypatch):
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        leaf = make_vector(3, tiny_model.sizes).float().requires_grad_()
        code = SemanticCode.from_vector(leaf, tiny_model.sizes)
        loss = FusedVertexLoss(tiny_model, CAMERA, True)(code, make_images(3)).photometric
        results.append((loss, *torch.autograd.grad(loss.sum(), leaf)))
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


def test_other_models_are_refused():
    with pytest.raises(ValueError, match=r"takes float32 models on the CPU, got torch\.float64 on cpu; use Decoder"):
        FusedVertexLoss(make_tiny_model(dtype=torch.float64), CAMERA)
