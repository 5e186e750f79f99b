"""The Basel Face Model 2009, with the expressions that Guo et al. 2018 fitted to it.

Micrometres, colors from 0 to 255, unit columns and their standard deviations, triangles counted from 1 and clockwise.

Reference: Paysan et al. 2009, *A 3D Face Model for Pose and Illumination Invariant Face Recognition*; Guo et al. 2018,
*CNN-based Real-time Dense Face Reconstruction with Inverse-rendered Photo-realistic Face Images*.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mofa3d.errors import InputError
from mofa3d.models.assembly import FaceData, assemble, first_columns, given_landmarks, keep_vertices
from mofa3d.models.formats.matlab import read_mat
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import MorphableModel

TITLE = "the Basel Face Model 2009"
EXPRESSIONS = "the expressions of the Basel Face Model 2009"
DEEP3D = "https://github.com/sicxu/Deep3DFaceRecon_pytorch"
SOURCE = SourceFile("01_MorphableModel.mat", TITLE, "https://faces.dmi.unibas.ch/bfm/")
MODES = SourceFile("Exp_Pca.bin", EXPRESSIONS, "https://github.com/Juyong/3DFace")
DEVIATIONS = SourceFile("std_exp.txt", EXPRESSIONS, DEEP3D)
TRIMMED = SourceFile("BFM_exp_idx.mat", EXPRESSIONS, DEEP3D)
FRONT = SourceFile("BFM_front_idx.mat", EXPRESSIONS, DEEP3D)
MICROMETRE = 1e-3  # mm


def load(
    path: str | Path | None = None,
    *,
    expressions: str | Path | None = None,
    front: bool = False,
    landmarks: Sequence[int] | None = None,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
    reference: MorphableModel | None = None,
) -> MorphableModel:
    """Read ``01_MorphableModel.mat``.

    With expressions the model has the vertices that those are defined on; without, all of its own and no expression
    mode. The mean expression that ``Exp_Pca.bin`` begins with is left out, as those who use the file do.

    Args:
        path: the file or its folder.
        expressions: the folder of ``Exp_Pca.bin``, ``std_exp.txt`` and ``BFM_exp_idx.mat``; by default the model's own
            folder, if ``Exp_Pca.bin`` is there.
        front: cut to the vertices of ``BFM_front_idx.mat``, in the same folder.
        landmarks: 68 vertices of the file, counted from 0; by default guessed by shape from the default model.
        shape_count, expression_count, reflectance_count: how many modes to keep; all by default.
        reference: as `mofa3d.models.assembly.assemble` takes it.

    Raises:
        InputError: a file is missing or damaged.
    """
    file = SOURCE.locate(path)
    content = read_mat(file, SOURCE, ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl"))
    mean = SOURCE.array(file, content, "shapeMU", (None, 1)).reshape(-1)
    if len(mean) % 3:
        raise SOURCE.damaged(file, f"'shapeMU' has {len(mean)} numbers, not three for each vertex")
    count = len(mean) // 3
    color = SOURCE.array(file, content, "texMU", (3 * count, 1)).reshape(-1, 3) / 255.0
    shape_basis = _basis(file, content, "shape", count, shape_count) * np.float32(MICROMETRE)
    color_basis = _basis(file, content, "tex", count, reflectance_count) / np.float32(255)
    faces = SOURCE.indices(file, content, "tl", (None, 3), count)
    vertices = mean.reshape(-1, 3) * np.float64(MICROMETRE)
    chosen = given_landmarks(landmarks, count)

    modes = MODES.beside(file, expressions)
    if modes is None and front:
        raise InputError(f"front=True needs {MODES.name} and {FRONT.name} (from {FRONT.url}); give expressions=")
    keep, expression_basis = np.arange(count), np.zeros((count, 3, 0), dtype=np.float32)
    if modes is not None:
        keep, expression_basis = _expressions(modes, count)
        if front:
            where = FRONT.locate(modes.parent)
            index = FRONT.indices(where, read_mat(where, FRONT, ("idx",)), "idx", (None, 1), len(keep)).reshape(-1)
            keep, expression_basis = keep[index], expression_basis[index]
    expression_basis = first_columns(expression_basis, expression_count, "expression_count")
    if chosen is not None:
        new = np.full(count, -1)
        new[keep] = np.arange(len(keep))
        chosen = new[chosen]
        if (chosen < 0).any():
            raise InputError(f"landmark {int(chosen.argmin())} is a vertex that the expressions do not cover")
    data = FaceData(
        name="bfm2009",
        vertices=vertices[keep],
        faces=keep_vertices(keep, faces, count),
        shape_basis=shape_basis[keep],
        expression_basis=expression_basis,
        reflectance=(color[keep], color_basis[keep]),
        landmarks=chosen,
    )
    return assemble(data, reference)


def _basis(file: Path, content: dict, what: str, count: int, modes: int | None) -> np.ndarray:
    """Unit columns times their standard deviations, (N, 3, K), in the file's unit."""
    basis = SOURCE.array(file, content, f"{what}PC", (3 * count, None))
    deviations = SOURCE.array(file, content, f"{what}EV", (basis.shape[1], 1))
    option = "shape_count" if what == "shape" else "reflectance_count"
    scaled = first_columns(basis, modes, option) * first_columns(deviations.T, modes, option)
    return scaled.astype(np.float32).reshape(count, 3, -1)


def _expressions(modes: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The vertices with expressions (M,) and the modes on them (M, 3, K), mm per standard deviation."""
    where = TRIMMED.locate(modes.parent)
    keep = TRIMMED.indices(where, read_mat(where, TRIMMED, ("trimIndex",)), "trimIndex", (None, 1), count).reshape(-1)
    raw = modes.read_bytes()
    number = int.from_bytes(raw[:4], "little", signed=True)
    expected = 4 + 4 * 3 * len(keep) * (1 + number)
    if number < 1 or len(raw) != expected:
        problem = f"{len(raw)} bytes, expected {expected} for {number} modes on {len(keep)} vertices"
        raise MODES.damaged(modes, problem)
    values = np.frombuffer(raw, dtype="<f4", offset=4).reshape(1 + number, len(keep), 3)[1:]
    values = MODES.array(modes, {"modes": values}, "modes", (number, len(keep), 3))
    where = DEVIATIONS.locate(modes.parent)
    try:
        deviations = np.array(where.read_text().split(), dtype=np.float64)
    except ValueError as error:  # of float()
        raise DEVIATIONS.damaged(where, error) from error
    deviations = DEVIATIONS.array(where, {"deviations": deviations}, "deviations", (number,))
    scaled = values * (deviations * MICROMETRE).astype(np.float32)[:, None, None]
    return keep, np.moveaxis(scaled, 0, -1)
