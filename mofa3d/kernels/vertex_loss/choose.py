"""Which fused loss a device has."""

from __future__ import annotations

import os
import shutil
import sysconfig
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from mofa3d.camera import Camera
from mofa3d.errors import SlowerPathWarning
from mofa3d.kernels.vertex_loss.base import FusedLoss
from mofa3d.morphable_model import MorphableModel


def make_vertex_loss(
    model: MorphableModel, camera: Camera, device: torch.device | str, area_weights: bool = False
) -> FusedLoss | None:
    """The fused loss of codes on a device, or ``None`` where there is none: `Decoder` and a renderer do its work then.

    Args:
        model: float32, on any device, where it stays.
        camera: the camera that sees the face.
        device: where codes and images will be; NVIDIA GPUs have a fused loss where Triton is installed, which comes
            with PyTorch for CUDA, and finds a C compiler.
        area_weights: as `mofa3d.renderers.vertex.VertexRenderer` has it.

    Warns:
        SlowerPathWarning: a GPU, and Triton, but no compiler for it.

    Raises:
        InputError: a model of another type.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss

        return FusedVertexLoss(model, camera, area_weights)
    if kind != "cuda" or find_spec("triton") is None:
        return None
    if not _can_compile():
        warnings.warn(
            "losses are computed in plain PyTorch, which is slower: Triton needs a C compiler and Python.h; install "
            "gcc and python3-dev",
            SlowerPathWarning,
            stacklevel=2,
        )
        return None
    from mofa3d.kernels.vertex_loss.cuda import CudaVertexLoss

    # A copy is moved, because `to` moves a module itself.
    return CudaVertexLoss(model.restrict(model.frontal).to(device), camera, area_weights)


def _can_compile() -> bool:
    """Whether Triton can build the small C module with which it starts kernels, as `triton.runtime.build` does."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    # Debian's own scheme names a folder in which the header never is.
    return bool(compiler) and Path(sysconfig.get_path("include", "posix_prefix"), "Python.h").exists()
