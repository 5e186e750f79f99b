"""Module paths of earlier releases: importing one gives the module that holds the same things today, with a warning.

They go with the release after this one.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "mofa3d.baselines": "mofa3d.evaluation.comparison",
    "mofa3d.baselines.comparison": "mofa3d.evaluation.estimates",
    "mofa3d.baselines.scan_comparison": "mofa3d.evaluation.scans.errors",
    "mofa3d.checkpoints": "mofa3d.encoders.checkpoint",
    "mofa3d.code_sizes": "mofa3d.semantic_code",
    "mofa3d.edited_photo": "mofa3d.editing.composite",
    "mofa3d.expression_units": "mofa3d.models.expression_units",
    "mofa3d.lighting": "mofa3d.editing.lighting",
    "mofa3d.scans": "mofa3d.evaluation.scans",
    "mofa3d.scans.layout": "mofa3d.evaluation.scans.folder",
    "mofa3d.video_reconstruction": "mofa3d.reconstruction.video.reconstruct",
}


class OtherNames(MetaPathFinder, Loader):
    """Finds modules under other names than their own.

    Args:
        names: from the name that is asked for to the module's own.
        deprecated: whether to warn.
    """

    def __init__(self, names: dict[str, str], deprecated: bool = True) -> None:
        self.names = names
        self.deprecated = deprecated

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name in self.names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        own = self.names[spec.name]
        if self.deprecated:
            warnings.warn(f"{spec.name} is now {own}; import that", DeprecationWarning, stacklevel=2)
        module = import_module(own)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        module.__spec__ = spec and spec.loader_state  # Python has put the other name there
