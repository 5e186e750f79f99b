"""What every fused loss of vertices must fulfil, whatever its device; a subclass says which loss, and has a `model`."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import vertex_scenes
from tiny_model import make_code
from vertex_scenes import CAMERA, POSES, evaluate, in_double, make_images, make_vector, reference

from mofa3d.camera import Camera
from mofa3d.kernels.vertex_loss.base import FusedLoss
from mofa3d.semantic_code import CodeSizes, SemanticCode


class FusedLossTests:
    """Its numbers and derivatives are those of decoder, vertex renderer and loss, one after the other.

    Attributes:
        kind: the loss.
        block_tolerance: of a block of the code, relative.
    """

    kind: type[FusedLoss]
    block_tolerance = 1e-4

    @pytest.fixture
    def assert_agrees(self, model):
        return partial(vertex_scenes.assert_agrees, self.kind, model)

    @pytest.mark.parametrize("pose", POSES)
    @pytest.mark.parametrize(("area_weights", "cost"), [(False, 0.0), (True, 0.14)])
    def test_numbers_and_gradients_are_those_of_the_plain_path(self, assert_agrees, model, pose, area_weights, cost):
        gradient = assert_agrees(CAMERA, make_vector(4, model.sizes, pose), make_images(4), area_weights, cost)
        if pose in ("outside", "from behind"):
            assert not gradient.any()
        else:
            assert (gradient.norm(dim=1) > 1e-3).all()

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_the_smallest_images(self, assert_agrees, model, size):
        image = make_images(2)[:, :, :size, :size].contiguous()
        assert_agrees(Camera(size), make_vector(2, model.sizes), image, cost=0.1)

    def test_every_block_of_the_code_has_its_gradient(self, assert_agrees, model):
        vector = make_vector(3, model.sizes)
        *_, expected = reference(in_double(model), CAMERA, vector, make_images(3), False, 0.0)
        ours = assert_agrees(CAMERA, vector, make_images(3)).double()
        for name, where in model.sizes.slices.items():
            assert (ours - expected)[:, where].norm() < self.block_tolerance * expected[:, where].norm(), name

    def test_each_image_has_its_own_factor(self, model):
        device = model.mean_shape.device
        leaf = make_vector(3, model.sizes).float().to(device).requires_grad_()
        seen = self.kind(model, CAMERA)(SemanticCode.from_vector(leaf, model.sizes), make_images(3).to(device))
        factors = torch.tensor([1.0, -2.0, 0.0], device=device)
        (whole,) = torch.autograd.grad(seen.photometric.sum(), leaf, retain_graph=True)
        (scaled,) = torch.autograd.grad((factors * seen.photometric).sum(), leaf, retain_graph=True)
        torch.testing.assert_close(scaled, factors[:, None] * whole)
        with pytest.raises(RuntimeError, match=r"differentiable once; for higher derivatives .* use Decoder"):
            torch.autograd.grad(seen.photometric.sum(), leaf, create_graph=True)
        assert not seen.photometric_error.requires_grad

    @pytest.mark.parametrize("block", ["shape", "reflectance", "rotation", "translation", "illumination"])
    def test_nan_comes_through_and_stays_in_its_image(self, model, block):
        vector = make_vector(3, model.sizes).float()
        vector[1, model.sizes.slices[block].start] = float("nan")
        loss, _, gradient = evaluate(self.kind(model, CAMERA), vector, make_images(3).to(model.mean_shape.device))
        assert loss.isnan().tolist() == [False, True, False]
        assert gradient[[0, 2]].isfinite().all()

    def test_a_perfect_match_has_no_gradient(self, model):
        model.mean_reflectance.fill_(0.5)
        image = torch.full((1, 3, 64, 64), 0.35, device=model.mean_shape.device)  # in the ambient light of 0.7
        loss, _, gradient = evaluate(self.kind(model, CAMERA), torch.zeros(1, model.sizes.total), image)
        assert loss < 1e-5
        assert gradient.isfinite().all()

    @pytest.mark.parametrize("area_weights", [False, True])
    def test_no_gradient_asked_for(self, model, area_weights):
        vector, image, device = make_vector(2, model.sizes), make_images(2), model.mean_shape.device
        code = SemanticCode.from_vector(vector.float().to(device), model.sizes)
        seen = self.kind(model, CAMERA, area_weights)(code, image.to(device))
        assert not seen.photometric.requires_grad
        expected, *_ = reference(in_double(model), CAMERA, vector, image, area_weights, 0.0)
        torch.testing.assert_close(seen.photometric.double().cpu(), expected, rtol=1e-5, atol=0)

    def test_vertices_without_area_have_finite_gradients(self, model):
        for buffer in (model.mean_shape, model.shape_basis, model.expression_basis):
            buffer[:] = buffer[:1].clone()  # all in one point
        image = make_images(2).to(model.mean_shape.device)
        loss, _, gradient = evaluate(self.kind(model, CAMERA), make_vector(2, model.sizes), image)
        assert not loss.any()
        assert gradient.isfinite().all()

    def test_codes_and_images_that_do_not_fit_are_refused(self, model):
        loss, device = self.kind(model, CAMERA), model.mean_shape.device
        code = SemanticCode.from_vector(make_vector(2, model.sizes).float().to(device), model.sizes)
        other = make_code(2, CodeSizes(4, 4, 6), dtype=torch.float32).to_vector().to(device)
        with pytest.raises(ValueError, match=r"was made for codes of .* got"):
            loss(SemanticCode.from_vector(other, CodeSizes(4, 4, 6)), make_images(2).to(device))
        with pytest.raises(ValueError, match=r"expected images of shape \(2, 3, 64, 64\), as many as codes, got \(3,"):
            loss(code, make_images(3).to(device))
        for image in (make_images(2).double(), make_images(2).half()):
            with pytest.raises(ValueError, match=r"expected float32 images on .*, where the codes are, got torch\."):
                loss(code, image.to(device))
