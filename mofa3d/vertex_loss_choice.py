"""Which fused loss a device has."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from mofa3d.camera import Camera
from mofa3d.cuda_vertex_loss import CudaVertexLoss
from mofa3d.fused_vertex_loss import FusedVertexLoss
from mofa3d.morphable_model import MorphableModel
from mofa3d.vertex_loss import FusedLoss


def make_vertex_loss(
    model: MorphableModel, camera: Camera, device: torch.device | str, area_weights: bool = False
) -> FusedLoss | None:
    """The fused loss of codes on a device, or ``None`` where there is none: `Decoder` and a renderer do its work then.

    Args:
        model: float32, on any device, where it stays.
        camera: the camera that sees the face.
        device: where codes and images will be; NVIDIA GPUs have a fused loss where Triton is installed, which comes
            with PyTorch for CUDA.
        area_weights: as `renderers.vertex.VertexRenderer` has it.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        return FusedVertexLoss(model, camera, area_weights)
    if kind == "cuda" and find_spec("triton") is not None:
        # A copy is moved, because `to` moves a module itself.
        return CudaVertexLoss(model.restrict(model.frontal).to(device), camera, area_weights)
    return None
