"""mofa3d: model-based face autoencoding (Tewari et al. 2017) with pluggable image formation."""

import sys
from importlib import import_module
from typing import Any

from mofa3d.moved import MOVED, OtherNames

__version__ = "0.1.0"
__all__ = [
    "Camera",
    "CodeSizes",
    "Decoder",
    "EditedFace",
    "Face",
    "InputError",
    "MorphableModel",
    "Rendering",
    "Scene",
    "SemanticCode",
    "edit",
    "load_model",
    "losses",
    "metrics",
    "reconstruct",
]
# Where each is, and imported when it is asked for: processes that only read photographs do without PyTorch.
PLACES = {
    "Camera": "camera",
    "CodeSizes": "semantic_code",
    "Decoder": "decoder",
    "EditedFace": "api",
    "Face": "api",
    "InputError": "errors",
    "MorphableModel": "morphable_model",
    "Rendering": "scene",
    "Scene": "scene",
    "SemanticCode": "semantic_code",
    "edit": "api",
    "load_model": "models",
    "reconstruct": "api",
}

sys.meta_path.append(OtherNames(MOVED))  # asked last: only for modules that are not there


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(f"mofa3d.{PLACES[name]}"), name)
    if name in __all__:
        return import_module(f"mofa3d.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
