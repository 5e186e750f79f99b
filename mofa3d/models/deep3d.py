"""The front of the Basel Face Model 2009 as Deep3DFaceRecon prepares it.

Decimetres, colors from 0 to 255, columns scaled with their standard deviation, everything counted from 1.

Reference: Deng et al. 2019, *Accurate 3D Face Reconstruction with Weakly-Supervised Learning*.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mofa3d.models.assembly import FaceData, assemble, first_columns
from mofa3d.models.formats.matlab import read_mat
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import LANDMARK_COUNT, MorphableModel

SOURCE = SourceFile(
    "BFM_model_front.mat", "Deep3DFaceRecon's face model", "https://github.com/sicxu/Deep3DFaceRecon_pytorch"
)
DECIMETRE = 100.0  # mm


def load(
    path: str | Path | None = None,
    *,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
) -> MorphableModel:
    """Read ``BFM_model_front.mat``; the frontal region is its ``frontmask2_idx``.

    Args:
        path: the file or its folder.
        shape_count, expression_count, reflectance_count: how many modes to keep; all by default.

    Raises:
        InputError: the file is missing or damaged.
    """
    file = SOURCE.locate(path)
    keys = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "keypoints", "frontmask2_idx")
    content = read_mat(file, SOURCE, keys)
    mean = SOURCE.array(file, content, "meanshape", (1, None)).reshape(-1)
    if len(mean) % 3:
        raise SOURCE.damaged(file, f"'meanshape' has {len(mean)} numbers, not three for each vertex")
    count = len(mean) // 3

    def basis(key: str, modes: int | None, option: str, unit: float) -> np.ndarray:
        values = SOURCE.array(file, content, key, (3 * count, None))
        return (first_columns(values, modes, option) * np.float32(unit)).reshape(count, 3, -1)

    frontal = np.zeros(count, dtype=bool)
    frontal[SOURCE.indices(file, content, "frontmask2_idx", (None, 1), count)] = True
    color = SOURCE.array(file, content, "meantex", (1, 3 * count)).reshape(-1, 3) / 255.0
    data = FaceData(
        name="deep3d",
        vertices=mean.reshape(-1, 3) * np.float64(DECIMETRE),
        faces=SOURCE.indices(file, content, "tri", (None, 3), count),
        shape_basis=basis("idBase", shape_count, "shape_count", DECIMETRE),
        expression_basis=basis("exBase", expression_count, "expression_count", DECIMETRE),
        reflectance=(color, basis("texBase", reflectance_count, "reflectance_count", 1 / 255)),
        landmarks=SOURCE.indices(file, content, "keypoints", (1, LANDMARK_COUNT), count).reshape(-1),
        frontal=frontal,
    )
    return assemble(data)
