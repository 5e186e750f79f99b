"""Image formation of the paper: no image at all, one color sample per vertex (Tewari et al. 2017, Sec. 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.camera import FACE_FRACTION
from mofa3d.scene import Rendering, Scene

if TYPE_CHECKING:
    from mofa3d.camera import Camera
    from mofa3d.kernels.vertex_loss.base import FusedLoss
    from mofa3d.morphable_model import MorphableModel


@dataclass(frozen=True)
class VertexRenderer:
    """Samples at the projected vertices that are in 𝒱 and in the frontal region; all others weigh 0.

    Differentiable: positions and colors, and with `area_weights` the weights. Not differentiable: which vertices
    count.

    Attributes:
        area_weights: weigh each sample with the image area around its vertex over the area of an average face, instead
            of 1/N_frontal as Eq. 8 does. A sum over samples is then an integral over the image, which a positive
            `background_cost` of the loss needs: only then does covering more of the photograph pay.

    Reference: Tewari et al. 2017, Eq. 8, whose constant 1/N rewards turning or shrinking the face, as Sec. 8 admits;
    Schönborn et al. 2017 for the integral.
    """

    area_weights: bool = False

    def __call__(self, scene: Scene) -> Rendering:
        counted = (scene.front_facing & scene.frontal).to(scene.colors.dtype)
        if self.area_weights:
            weights = counted * vertex_areas(scene.pixels, scene.faces) / (FACE_FRACTION * scene.camera.image_size**2)
        else:
            weights = counted / scene.frontal.sum().clamp_min(1)
        return Rendering(positions=scene.pixels, colors=scene.colors, weights=weights)

    def with_area_weights(self) -> VertexRenderer:
        return replace(self, area_weights=True)

    def fused_loss(self, model: MorphableModel, camera: Camera, device: torch.device | str) -> FusedLoss | None:
        """See `mofa3d.kernels.vertex_loss.choose.make_vertex_loss`."""
        from mofa3d.kernels.vertex_loss.choose import make_vertex_loss

        return make_vertex_loss(model, camera, device, self.area_weights)


def vertex_areas(pixels: Float[Tensor, "B N 2"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B N"]:
    """A third of the image area (px²) of the triangles around each vertex that are turned to the camera."""
    from mofa3d.renderers.winding import doubled_area

    # Vertex-major: each gather and each sum then moves whole rows, several times faster than element by element.
    x, y = pixels.permute(2, 1, 0).contiguous().unbind(0)
    doubled = doubled_area(*((x[corner], y[corner]) for corner in faces.unbind(1)))
    third = doubled.clamp_min(0) / 6
    areas = torch.zeros_like(x)
    for corner in faces.unbind(1):
        areas = areas.index_add(0, corner, third)
    return areas.transpose(0, 1)
