"""mofa3d: model-based face autoencoding (Tewari et al. 2017) with pluggable image formation."""

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
    "MorphableModel",
    "Rendering",
    "Scene",
    "SemanticCode",
    "load_model",
    "losses",
    "metrics",
]
