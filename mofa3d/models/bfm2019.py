"""The Basel Face Model 2019, whose files are built like those of 2017."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mofa3d.models.assembly import assemble
from mofa3d.models.bfm2017 import read
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import MorphableModel

SOURCE = SourceFile("model2019_face12.h5", "the Basel Face Model 2019", "https://faces.dmi.unibas.ch/bfm/bfm2019.html")


def load(
    path: str | Path | None = None,
    *,
    landmarks: Sequence[int] | None = None,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
    reference: MorphableModel | None = None,
) -> MorphableModel:
    """Read ``model2019_face12.h5`` or another mesh of the release; everything as in `mofa3d.models.bfm2017.load`."""
    counts = (shape_count, expression_count, reflectance_count)
    return assemble(read(SOURCE, "bfm2019", path, landmarks, counts), reference)
