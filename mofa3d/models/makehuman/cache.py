"""Build the default model once and keep it in the user's cache directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs

from mofa3d.models.makehuman.learned import with_learned_reflectance
from mofa3d.models.makehuman.source import package_version
from mofa3d.morphable_model import MorphableModel, read_model, save_model

BUILDER_VERSION = 7  # raise it with every change that alters the numbers


def cache_directory() -> Path:
    """Where built models and prepared data are kept; the environment variable MOFA3D_CACHE overrides it."""
    return Path(os.environ.get("MOFA3D_CACHE") or platformdirs.user_cache_dir("mofa3d"))


def load(reflectance: Literal["learned", "pigment"] = "learned") -> MorphableModel:
    """The default model, from the cache or built (about half a minute).

    Args:
        reflectance: learned from photographs, or the pigment model of skin, lips, hair and eyes that learning started
            from.

    Raises:
        ValueError: the package ``anny`` is not installed, or there is no such reflectance.
    """
    if reflectance not in ("learned", "pigment"):
        raise ValueError(f"unknown reflectance {reflectance!r}; choose learned or pigment")
    model = _load_pigment()
    return with_learned_reflectance(model) if reflectance == "learned" else model


def _load_pigment() -> MorphableModel:
    """Two processes that start at once both build and each puts its whole file in place; the numbers are the same."""
    path = cache_directory() / f"makehuman-{package_version()}-{BUILDER_VERSION}.safetensors"
    if path.exists():
        try:
            return read_model(path)
        except ValueError:
            path.unlink(missing_ok=True)  # a damaged cache is no reason to fail: build it again
    from mofa3d.models.makehuman.build import build

    model = build()
    save_model(model, path)
    return model
