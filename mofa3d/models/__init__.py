"""Face models by name; each source lives in its own module, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from mofa3d.morphable_model import MorphableModel, read_model

_SOURCES = {"makehuman": "mofa3d.models.makehuman"}
MODEL_NAMES = tuple(_SOURCES)


def load_model(name: str, *, path: str | Path | None = None, **options) -> MorphableModel:
    """Load a morphable model by name.

    Args:
        name: ``"makehuman"``, the free default, which is built once from CC0 data and cached.
        path: a ``.safetensors`` file written by `mofa3d.morphable_model.save_model`, read instead.
        options: go to the source's ``load``.

    Raises:
        ValueError: unknown name, or the source's files are missing or damaged.
    """
    if path is not None:
        return read_model(path)
    if name not in _SOURCES:
        raise ValueError(f"unknown face model {name!r}: choose one of {', '.join(_SOURCES)}, or give path=")
    return import_module(_SOURCES[name]).load(**options)
