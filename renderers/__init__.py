"""The name `renderers` in a checkout: the same things as in `mofa3d.renderers`, for scripts beside it."""

import sys
from pkgutil import iter_modules

import mofa3d.renderers
from mofa3d.moved import OtherNames

_PARTS = [module.name for module in iter_modules(mofa3d.renderers.__path__)]
sys.meta_path.insert(
    0, OtherNames({f"renderers.{part}": [f"mofa3d.renderers.{part}"] for part in _PARTS}, deprecated=False)
)


def __getattr__(name: str) -> object:
    return getattr(mofa3d.renderers, name)
