"""Face models by name; each source lives in its own module, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.files.given import naming_file
from mofa3d.morphable_model import MorphableModel, read_model

_DEFAULT = "makehuman"
_SOURCES = {
    _DEFAULT: "mofa3d.models.makehuman",
    "bfm2009": "mofa3d.models.bfm2009",
    "bfm2017": "mofa3d.models.bfm2017",
    "bfm2019": "mofa3d.models.bfm2019",
    "deep3d": "mofa3d.models.deep3d",
    "flame": "mofa3d.models.flame",
    "ict": "mofa3d.models.ict",
    "eos": "mofa3d.models.eos",
}
MODEL_NAMES = tuple(_SOURCES)


@plain_settings()
def load_model(name: str, *, path: str | Path | None = None, **options) -> MorphableModel:
    """Load a morphable model by name.

    Args:
        name: ``"makehuman"``, the free default, which is built once from CC0 data and cached; or the source of a file
            that you have: ``"bfm2009"``, ``"bfm2017"``, ``"bfm2019"``, ``"deep3d"``, ``"flame"``, ``"ict"``, ``"eos"``.
        path: the source's file or folder. A ``.safetensors`` file, as `mofa3d.morphable_model.save_model` writes it, is
            read instead, whatever the name.
        options: go to the source's ``load``.

    Raises:
        InputError: unknown name, or the source's files are missing or damaged.
    """
    if path is not None and (name == _DEFAULT or Path(path).suffix == ".safetensors"):
        return read_model(path)
    if name not in _SOURCES:
        names = ", ".join(_SOURCES)
        raise InputError(f"unknown face model {name!r}: choose one of {names}, or give path= of a .safetensors file")
    module = import_module(_SOURCES[name])
    if name == _DEFAULT:
        return module.load(**options)
    if path is None:
        return module.load(None, **options)
    with naming_file(Path(path)):
        return module.load(path, **options)
