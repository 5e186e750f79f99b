"""What the fused losses of decoded vertices have in common: their result, and what they ask of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.camera import FACE_FRACTION, Camera
from mofa3d.code_sizes import CodeSizes
from mofa3d.morphable_model import MorphableModel
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


# Compares the faces that codes mean with images (B, 3, H, W) at a background cost, see `mofa3d.losses.photometric`.
FusedLoss = Callable[[SemanticCode, Tensor, float], VertexLoss]


class LandmarkProjection:
    """Codes to the 68 iBUG points in pixels, without the vertices in between; differentiable.

    Args:
        model: the points' part of it is copied.
        camera: the camera that sees the face.
    """

    def __init__(self, model: MorphableModel, camera: Camera) -> None:
        self.camera = camera
        geometry = torch.cat([model.shape_basis, model.expression_basis], dim=2)
        self.mean = model.at_landmarks(model.mean_shape).flatten()
        self.basis = model.at_landmarks(geometry).flatten(0, 1)

    def __call__(self, code: SemanticCode) -> Float[Tensor, "B 68 2"]:
        geometry = torch.cat([code.shape, code.expression], dim=1)
        with torch.autocast(geometry.device.type, enabled=False):  # pixels need all their digits
            points = nn.functional.linear(geometry, self.basis, self.mean).unflatten(1, (68, 3))
            return self.camera.project(self.camera.to_camera(points, code.rotation, code.translation))


def sample_weight(frontal_count: int, camera: Camera, area_weights: bool) -> float:
    """What a vertex weighs in the loss, or with `area_weights` a square pixel; see `renderers.vertex`."""
    return 1 / (FACE_FRACTION * camera.image_size**2) if area_weights else 1 / max(frontal_count, 1)


def check_arguments(code: SemanticCode, image: Float[Tensor, "B 3 H W"], sizes: CodeSizes, camera: Camera) -> None:
    """Fail where codes and images do not fit each other, the model and the camera.

    Raises:
        ValueError: they do not.
    """
    if image.dtype != torch.float32 or image.device != code.shape.device:
        raise ValueError(
            f"expected float32 images on {code.shape.device}, where the codes are, got {image.dtype} on {image.device}"
        )
    if code.sizes != sizes:
        raise ValueError(f"the fused loss was made for codes of {sizes}, got {code.sizes}")
    expected = (len(code), 3, camera.image_size, camera.image_size)
    if image.shape != expected:
        raise ValueError(f"expected images of shape {expected}, as many as codes, got {tuple(image.shape)}")


def refuse_second_derivative() -> None:
    """To be called by `backward` of what is differentiable once.

    Not `once_differentiable`, which lets second derivatives pass where the first is a constant factor.

    Raises:
        RuntimeError: the first derivative is to be differentiated.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "the fused loss is differentiable once; for higher derivatives (create_graph=True) use "
            "Decoder(..., fused=False) and VertexRenderer"
        )
