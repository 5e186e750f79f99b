"""The name `renderers` in a checkout: the same modules as `mofa3d.renderers`, for scripts beside it."""

import sys
from pkgutil import iter_modules

import mofa3d.renderers
from mofa3d.moved import OtherNames

sys.meta_path.insert(
    0,
    OtherNames(
        {
            f"renderers.{module.name}": f"mofa3d.renderers.{module.name}"
            for module in iter_modules(mofa3d.renderers.__path__)
        },
        deprecated=False,
    ),
)
sys.modules[__name__] = mofa3d.renderers
