"""mofa3d: model-based face autoencoding (Tewari et al. 2017) with pluggable image formation."""

import sys
from importlib import import_module
from typing import Any

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
    "reconstruct_person",
]
# Where each is, and imported when it is asked for: processes that only read photographs do without PyTorch.
PLACES = {
    "Camera": "camera",
    "CodeSizes": "semantic_code",
    "Decoder": "decoder",
    "EditedFace": "edited_face",
    "Face": "api",
    "InputError": "errors",
    "MorphableModel": "morphable_model",
    "Rendering": "scene",
    "Scene": "scene",
    "SemanticCode": "semantic_code",
    "edit": "edited_face",
    "load_model": "models",
    "reconstruct": "api",
    "reconstruct_person": "api",
}


class _Earlier:
    """Finds the modules of `mofa3d.moved`; it is asked last, for modules that are not there."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith("mofa3d."):
            return None
        from mofa3d.moved import MOVED, OtherNames

        return OtherNames(MOVED).find_spec(name)


sys.meta_path.append(_Earlier)


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(f"mofa3d.{PLACES[name]}"), name)
    if name in __all__:
        return import_module(f"mofa3d.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
