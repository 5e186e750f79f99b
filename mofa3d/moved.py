"""Module paths of earlier releases: importing one warns, and gives what the module held, from where that is today.

They go with the release after this one.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "mofa3d.baselines": ["mofa3d.evaluation.comparison"],
    "mofa3d.baselines.comparison": ["mofa3d.evaluation.estimates"],
    "mofa3d.baselines.scan_comparison": ["mofa3d.evaluation.scans.errors", "mofa3d.evaluation.comparison.scans"],
    "mofa3d.checkpoints": ["mofa3d.encoders.checkpoint", "mofa3d.training.checkpoint"],
    "mofa3d.code_sizes": ["mofa3d.semantic_code"],
    "mofa3d.edited_photo": ["mofa3d.editing.composite"],
    "mofa3d.expression_units": ["mofa3d.models.expression_units"],
    "mofa3d.lighting": ["mofa3d.editing.lighting"],
    "mofa3d.scans": ["mofa3d.evaluation.scans"],
    "mofa3d.scans.layout": ["mofa3d.evaluation.scans.folder"],
    "mofa3d.video_reconstruction": ["mofa3d.reconstruction.video.reconstruct"],
}


class OtherNames(MetaPathFinder, Loader):
    """Finds what modules hold under other names than their own.

    Args:
        names: from the name that is asked for to the modules that hold its things, the first of which is asked first.
        deprecated: whether to warn.
    """

    def __init__(self, names: dict[str, list[str]], deprecated: bool = True) -> None:
        self.names = names
        self.deprecated = deprecated

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name in self.names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        own = self.names[spec.name]
        if self.deprecated:
            warnings.warn(f"{spec.name} is now {' and '.join(own)}; import that", DeprecationWarning, stacklevel=2)
        return _Alias(spec.name, own)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run: an alias asks the modules themselves."""


class _Alias(ModuleType):
    """Gives the attributes of other modules."""

    def __init__(self, name: str, modules: list[str]) -> None:
        super().__init__(name)
        self._modules = modules

    def __getattr__(self, name: str) -> object:
        for module in map(import_module, self._modules):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
