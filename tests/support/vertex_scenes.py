"""What the tests of all fused losses of vertices share: scenes, and the plain path in double precision."""

from __future__ import annotations

import torch
from tiny_model import make_code
from torch import nn

from mofa3d import losses, metrics
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.morphable_model import MorphableModel
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import CodeSizes, SemanticCode

CAMERA = Camera(64)
POSES = {
    "moderate": {},
    "turned": {"rotation": [0.0, 1.5, 0.2]},
    "from behind": {"rotation": [0.1, 3.0, 0.0]},
    "half outside": {"translation": [70.0, -60.0, 0.0]},
    "outside": {"translation": [900.0, 0.0, 0.0]},
    "close": {"translation": [5.0, 0.0, 500.0]},
}


def make_images(batch: int, size: int = 64, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Smooth ones, so that rounding a position does not change the image's gradient there."""
    noise = torch.rand(batch, 3, 5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1).to(dtype)


def make_vector(batch: int, sizes: CodeSizes, pose: str = "moderate", seed: int = 0) -> torch.Tensor:
    vector = make_code(batch, sizes, seed).to_vector()
    for block, values in POSES[pose].items():
        vector[:, sizes.slices[block]] += torch.tensor(values, dtype=torch.float64)
    return vector


def reference(
    model: MorphableModel, camera: Camera, vector: torch.Tensor, image: torch.Tensor, area_weights: bool, cost: float
):
    """Loss, error, landmarks and the loss's gradient in double precision."""
    leaf = vector.double().requires_grad_()
    scene = Decoder(model, camera, fused=False)(SemanticCode.from_vector(leaf, model.sizes))
    rendering = VertexRenderer(area_weights)(scene)
    loss = losses.photometric(rendering, image.double(), cost)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), metrics.photometric_error(rendering, image.double()).detach(), scene.landmarks, gradient


def assert_agrees(kind, model, camera, vector, image, area_weights=False, cost=0.0, tolerance=1e-4) -> torch.Tensor:
    """A fused loss, on the model's device, gives the numbers of the reference; returns its gradient."""
    loss, error, landmarks, gradient = reference(in_double(model), camera, vector, image, area_weights, cost)
    device = model.mean_shape.device
    leaf = vector.float().to(device).requires_grad_()
    seen = kind(model, camera, area_weights)(SemanticCode.from_vector(leaf, model.sizes), image.to(device), cost)
    torch.testing.assert_close(seen.photometric.double().cpu(), loss, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(seen.photometric_error.double().cpu(), error, rtol=1e-5, atol=0, equal_nan=True)
    torch.testing.assert_close(seen.landmarks.double().cpu(), landmarks, rtol=0, atol=1e-3)
    (ours,) = torch.autograd.grad(seen.photometric.sum(), leaf)
    ours = ours.cpu()
    difference = (ours.double() - gradient).norm(dim=1)
    assert (difference <= tolerance * gradient.norm(dim=1) + 1e-9).all()
    return ours


def evaluate(loss, vector: torch.Tensor, image: torch.Tensor, cost: float = 0.0) -> tuple[torch.Tensor, ...]:
    """Loss, error, and the gradient of the losses' sum, on the image's device."""
    leaf = vector.float().to(image.device).requires_grad_()
    seen = loss(SemanticCode.from_vector(leaf, loss.sizes), image, cost)
    return seen.photometric.detach(), seen.photometric_error, *torch.autograd.grad(seen.photometric.sum(), leaf)


def copy_of(model: MorphableModel) -> MorphableModel:
    """One that may be changed."""
    return model.restrict(torch.ones_like(model.frontal))


def in_double(model: MorphableModel) -> MorphableModel:
    """A copy in double precision on the CPU."""
    return copy_of(model).double().cpu()
