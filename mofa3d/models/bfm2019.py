"""The Basel Face Model 2019, whose files are built like those of 2017."""

from __future__ import annotations

from pathlib import Path

from mofa3d.models import bfm2017
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import MorphableModel

SOURCE = SourceFile("model2019_face12.h5", "the Basel Face Model 2019", "https://faces.dmi.unibas.ch/bfm/bfm2019.html")


def load(path: str | Path | None = None, **options) -> MorphableModel:
    """Read ``model2019_face12.h5`` or another mesh of the release; everything as in `mofa3d.models.bfm2017.load`."""
    return bfm2017.load(path, source=SOURCE, name="bfm2019", **options)
