"""mofa3d: model-based face autoencoding (Tewari et al. 2017) with pluggable image formation."""

import os
from importlib import import_module

# PyTorch's idle threads spin for milliseconds before they sleep, on the core that kernels of ours could use. Their
# library reads how long when PyTorch is loaded; who has loaded it before, or chosen otherwise, keeps what there is.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from mofa3d import losses, metrics
from mofa3d.camera import Camera
from mofa3d.code_sizes import CodeSizes
from mofa3d.decoder import Decoder
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Rendering, Scene
from mofa3d.semantic_code import SemanticCode

__all__ = [
    "Camera",
    "CodeSizes",
    "Decoder",
    "Face",
    "MorphableModel",
    "Rendering",
    "Scene",
    "SemanticCode",
    "load_model",
    "losses",
    "metrics",
    "reconstruct",
]
LAZY = ("Face", "reconstruct")  # of `mofa3d.api`, which imports what trained encoders and exports need


def __getattr__(name: str) -> object:
    if name in LAZY:
        return getattr(import_module("mofa3d.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
