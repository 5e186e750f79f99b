"""What the fused losses of decoded vertices have in common: all but how loss and gradient are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.camera import FACE_FRACTION, Camera
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class VertexLoss:
    """What training and its log need of a decoded batch.

    Attributes:
        photometric: see `mofa3d.losses.photometric`.
        photometric_error: see `mofa3d.metrics.photometric_error`; not differentiable.
        project_landmarks: computes `landmarks`, which only some trainings need.
    """

    photometric: Float[Tensor, "B"]
    photometric_error: Float[Tensor, "B"]
    project_landmarks: Callable[[], Float[Tensor, "B 68 2"]]

    @cached_property
    def landmarks(self) -> Float[Tensor, "B 68 2"]:
        """The 68 iBUG points, pixels; differentiable."""
        return self.project_landmarks()


class PointProjection:
    """Codes to points of the face in pixels, without the vertices in between; differentiable.

    Args:
        model: the points' part of it is copied.
        attached: the points on its triangles.
        camera: the camera that sees the face.
    """

    def __init__(self, model: MorphableModel, attached: LandmarkBarycentric, camera: Camera) -> None:
        self.camera = camera
        corners, weights = model.faces[attached.faces], attached.weights

        def at(values: Tensor) -> Tensor:
            return torch.einsum("lk,lk...->l...", weights.to(values), values[corners])

        geometry = torch.cat([model.shape_basis, model.expression_basis], dim=2)
        self.mean, self.basis = at(model.mean_shape).flatten(), at(geometry).flatten(0, 1)

    def to(self, device: torch.device | str) -> PointProjection:
        """The same, with its numbers on a device."""
        self.mean, self.basis = self.mean.to(device), self.basis.to(device)
        return self

    def __call__(self, code: SemanticCode) -> Float[Tensor, "B L 2"]:
        geometry = torch.cat([code.shape, code.expression], dim=1)
        with torch.autocast(geometry.device.type, enabled=False):  # pixels need all their digits
            points = nn.functional.linear(geometry, self.basis, self.mean).unflatten(1, (-1, 3))
            return self.camera.project(self.camera.to_camera(points, code.rotation, code.translation))


class ScaledGradient(torch.autograd.Function):
    """Losses (B,) and errors (B,) of vectors (B, D) of codes, worked out along with the losses' gradient.

    A loss is one number per image, so the backward pass only scales. Subclasses have the forward pass, with the
    arguments vector, image, background cost and a `FusedLoss`, which ends with `keep`.
    """

    @staticmethod
    def keep(ctx, gradient: Float[Tensor, "B D"], error: Float[Tensor, "B"]) -> None:
        """Save what the backward pass needs: the gradient; errors have none."""
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(error)

    @staticmethod
    def backward(ctx, grad_photometric, _):
        # Not `once_differentiable`, which lets second derivatives pass where the first is a constant factor.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the fused loss is differentiable once; for higher derivatives (create_graph=True) use "
                "Decoder(..., fused=False) and VertexRenderer"
            )
        (gradient,) = ctx.saved_tensors
        return grad_photometric[:, None] * gradient, None, None, None


class FusedLoss:
    """The photometric loss of a batch of codes, differentiable once with respect to the code; of one device each.

    Args:
        model: on that device.
        camera: the camera that sees the face.
        area_weights: as `mofa3d.renderers.vertex.VertexRenderer` has it.

    Attributes:
        weight: of a vertex in the loss, or with `area_weights` of a square pixel.
    """

    compare: type[ScaledGradient]

    @plain_settings()
    def __init__(self, model: MorphableModel, camera: Camera, area_weights: bool = False) -> None:
        self.camera, self.area_weights, self.sizes = camera, area_weights, model.sizes
        area, count = FACE_FRACTION * camera.image_size**2, max(int(model.frontal.sum()), 1)
        self.weight = 1 / area if area_weights else 1 / count
        self.project_landmarks = PointProjection(model, model.landmark_barycentric, camera)

    def __call__(self, code: SemanticCode, image: Float[Tensor, "B 3 H W"], background_cost: float = 0.0) -> VertexLoss:
        """Compare the faces that `code` means with photographs.

        Args:
            code: float32, of the model's sizes and on its device.
            image: float32 RGB in 0 to 1, of the camera's size and on the code's device; it gets no gradient.
            background_cost: see `mofa3d.losses.photometric`.

        Raises:
            ValueError: sizes that do not fit, or an image of another type or device.
        """
        self._check(code, image)
        photometric, error = self.compare.apply(code.to_vector(), image, background_cost, self)
        return VertexLoss(photometric, error, lambda: self.project_landmarks(code))

    def _check(self, code: SemanticCode, image: Float[Tensor, "B 3 H W"]) -> None:
        if image.dtype != torch.float32 or image.device != code.shape.device:
            raise ValueError(
                f"expected float32 images on {code.shape.device}, where the codes are, got {image.dtype} on "
                f"{image.device}"
            )
        if code.sizes != self.sizes:
            raise ValueError(f"the fused loss was made for codes of {self.sizes}, got {code.sizes}")
        expected = (len(code), 3, self.camera.image_size, self.camera.image_size)
        if image.shape != expected:
            raise ValueError(f"expected images of shape {expected}, as many as codes, got {tuple(image.shape)}")


@runtime_checkable
class OffersFusedLoss(Protocol):
    """A renderer of frontal vertices that can do decoding, rendering and photometric loss in one operation."""

    def with_area_weights(self) -> Renderer:
        """The renderer whose samples a positive `background_cost` of the loss needs; it offers a fused loss too."""

    def fused_loss(self, model: MorphableModel, camera: Camera, device: torch.device | str) -> FusedLoss | None:
        """That operation, with the numbers that `Decoder`, this renderer and the photometric loss would give.

        ``None`` where the device has none.
        """
