"""Face models by name; each source has its own module, which is imported on demand."""

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
        name: ``"makehuman"``, the free default, which is built once from CC0 data and cached; or the format of a file
            that you own: ``"bfm2009"``, ``"bfm2017"``, ``"bfm2019"``, ``"deep3d"``, ``"flame"``, ``"ict"``, ``"eos"``.
        path: file or folder of the model. A ``.safetensors`` file written by `mofa3d.morphable_model.save_model` is
            read whatever the name.
        options: passed to the ``load`` function of the source, such as ``shape_count=80``.

    Raises:
        InputError: the name is unknown, or files of the model are missing or damaged.
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
