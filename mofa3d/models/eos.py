"""Models of the library eos, such as the Surrey Face Model.

Millimetres, colors from 0 to 1, orthonormal columns and their variances, texture coordinates from the top left.

Reference: Huber et al. 2016, *A Multiresolution 3D Morphable Face Model and Fitting Framework*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from mofa3d.models.assembly import FaceData, assemble, first_columns, given_landmarks
from mofa3d.models.formats.cereal import Archive, ArchiveError
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import LANDMARK_COUNT, MorphableModel

TITLE, URL = "a face model of eos", "https://github.com/patrikhuber/eos/tree/master/share"
SOURCE = SourceFile("sfm_shape_3448.bin", TITLE, URL)
BLENDSHAPES = SourceFile("expression_blendshapes_3448.bin", TITLE, URL)
VERSIONS = (1, 2, 3, 4)

Value = TypeVar("Value")


class Pca(NamedTuple):
    """Mean (3N, 1), orthonormal basis (3N, K), variances (K, 1), triangles (F, 3)."""

    mean: np.ndarray
    basis: np.ndarray
    variances: np.ndarray
    triangles: np.ndarray


class Blendshape(NamedTuple):
    """A named displacement (3N, 1)."""

    name: str
    deformation: np.ndarray


@dataclass(frozen=True)
class Content:
    """What the file holds; an empty `color` means that there is none."""

    shape: Pca
    color: Pca
    expression: Pca | list[Blendshape] | None
    landmarks: dict[str, int]
    texture: np.ndarray
    texture_triangles: np.ndarray


def load(
    path: str | Path | None = None,
    *,
    expressions: str | Path | None = None,
    landmarks: Sequence[int] | None = None,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
    reference: MorphableModel | None = None,
) -> MorphableModel:
    """Read a ``.bin`` file of eos. A model without colors takes the default model's reflectance over.

    Args:
        path: the file, or a folder with ``sfm_shape_3448.bin``.
        expressions: a file of blendshapes, whose coefficient 1 is the expression in full; by default the model's own
            expressions, else ``expression_blendshapes_3448.bin`` beside a model of that name.
        landmarks: 68 vertices, counted from 0; by default those that the file names ``1`` to ``68``, else they are
            guessed by shape from the default model.
        shape_count, expression_count, reflectance_count: how many modes to keep; all by default.
        reference: as `mofa3d.models.assembly.assemble` takes it.

    Raises:
        InputError: a file is missing or damaged.
    """
    file = SOURCE.locate(path)
    content = _open(file, SOURCE, _content)
    mean, shape_basis = _scaled(file, content.shape, "shape", shape_count, "shape_count")
    count = len(mean)
    faces = SOURCE.in_range(file, "triangles", content.shape.triangles.astype(np.int64), count)
    if not len(faces):
        raise SOURCE.damaged(file, "it has no triangle")
    reflectance = None
    if content.color.mean.size:
        color, color_basis = _scaled(file, content.color, "color", reflectance_count, "reflectance_count")
        if len(color) != count:
            raise SOURCE.damaged(file, f"it has {len(color)} colors for {count} vertices")
        reflectance = (color, color_basis)
    own = content.expression if expressions is None else None
    blendshapes = BLENDSHAPES.locate(expressions) if expressions is not None else None
    if own is None and expressions is None and file.name == SOURCE.name:
        blendshapes = BLENDSHAPES.beside(file, None)
    if blendshapes is not None:
        own = _open(blendshapes, BLENDSHAPES, _blendshapes)
    offset, expression_basis = _expression(blendshapes or file, own, count, expression_count)
    points = given_landmarks(landmarks, count)
    if points is None:
        points = _named_landmarks(file, content.landmarks, count)
    data = FaceData(
        name="eos",
        vertices=mean + offset,
        faces=faces,
        shape_basis=shape_basis,
        expression_basis=expression_basis,
        reflectance=reflectance,
        landmarks=points,
        uv=_texture_coordinates(file, content, faces, count),
    )
    return assemble(data, reference, reflectance_count)


def _open(file: Path, source: SourceFile, read: Callable[[Archive], Value]) -> Value:
    archive = Archive(file.read_bytes())
    try:
        content = read(archive)
    except ArchiveError as error:
        raise source.damaged(file, error) from error
    if archive.remaining:
        raise source.damaged(file, f"{archive.remaining} bytes are left after its end")
    return content


def _content(archive: Archive) -> Content:
    version = archive.number("<u4")
    if version not in VERSIONS:
        raise ArchiveError(f"its version is {version}, expected one of 1 to 4")
    shape, color = _pca(archive), _pca(archive)
    expression = archive.optional(lambda: _expression_model(archive)) if version >= 2 else None
    landmarks = archive.optional(lambda: _landmarks(archive)) if version >= 3 else None
    texture = archive.rows("<f8", 2)
    texture_triangles = archive.rows("<i4", 3) if version >= 4 else np.zeros((0, 3), np.int32)
    return Content(shape, color, expression, landmarks or {}, texture, texture_triangles)


def _pca(archive: Archive) -> Pca:
    return Pca(archive.matrix(), archive.matrix(), archive.matrix(), archive.rows("<i4", 3))


def _expression_model(archive: Archive) -> Pca | list[Blendshape]:
    kind = archive.number("<i4")
    if kind not in (0, 1):
        raise ArchiveError(f"its expression model is of kind {kind}, expected 0 or 1")
    return _pca(archive) if kind == 0 else _blendshapes(archive)


def _blendshapes(archive: Archive) -> list[Blendshape]:
    return archive.list(lambda: Blendshape(archive.string(), archive.matrix()))


def _landmarks(archive: Archive) -> dict[str, int]:
    return dict(archive.list(lambda: (archive.string(), archive.number("<i4"))))


def _scaled(file: Path, pca: Pca, what: str, modes: int | None, option: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, 3) and basis (N, 3, K), scaled with the standard deviation."""
    values = pca._asdict()
    mean = SOURCE.array(file, values, "mean", (None, 1)).astype(np.float64)
    if len(mean) % 3:
        raise SOURCE.damaged(file, f"the mean of its {what} has {len(mean)} numbers, not three for each vertex")
    basis = SOURCE.array(file, values, "basis", (len(mean), None))
    variances = SOURCE.array(file, values, "variances", (basis.shape[1], 1))
    if (variances < 0).any():
        raise SOURCE.damaged(file, f"its {what} has negative variances")
    scaled = first_columns(basis, modes, option) * np.sqrt(first_columns(variances.T, modes, option))
    return mean.reshape(-1, 3), scaled.reshape(len(mean) // 3, 3, -1)


def _expression(
    file: Path, expression: Pca | list[Blendshape] | None, count: int, modes: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and basis of the expressions."""
    option = "expression_count"
    if isinstance(expression, Pca):
        offset, basis = _scaled(file, expression, "expression", modes, option)
        if len(offset) != count:
            raise SOURCE.damaged(file, f"it has expressions on {len(offset)} of {count} vertices")
        return offset, basis
    columns = []
    for blendshape in expression or []:
        values = BLENDSHAPES.array(file, {blendshape.name: blendshape.deformation}, blendshape.name, (3 * count, 1))
        columns.append(values.reshape(count, 3))
    basis = np.stack(columns, axis=-1) if columns else np.zeros((count, 3, 0), np.float32)
    return np.zeros((count, 3)), first_columns(basis, modes, option)


def _named_landmarks(file: Path, landmarks: dict[str, int], count: int) -> np.ndarray | None:
    names = [str(number) for number in range(1, LANDMARK_COUNT + 1)]
    if not all(name in landmarks for name in names):
        return None
    return SOURCE.in_range(file, "landmarks", np.array([landmarks[name] for name in names]), count)


def _texture_coordinates(file: Path, content: Content, faces: np.ndarray, count: int) -> np.ndarray | None:
    """Coordinates for each vertex, from the bottom left; a vertex on a seam takes one of its own."""
    if not len(content.texture):
        return None
    texture = SOURCE.array(file, {"texture": content.texture}, "texture", (None, 2)) * [1, -1] + [0, 1]
    if not len(content.texture_triangles):
        if len(texture) != count:
            raise SOURCE.damaged(file, f"it has {len(texture)} texture coordinates for {count} vertices")
        return texture
    triangles = content.texture_triangles.astype(np.int64)
    if triangles.shape != faces.shape:
        raise SOURCE.damaged(file, f"it has {len(triangles)} texture triangles for {len(faces)} triangles")
    uv = np.zeros((count, 2))
    uv[faces.ravel()] = texture[SOURCE.in_range(file, "texture triangles", triangles, len(texture)).ravel()]
    return uv
