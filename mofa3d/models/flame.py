"""FLAME 2020 and 2023.

Metres. Shape and expression columns carry their standard deviation. The jaw is a joint: its opening and its sideways
turn become two more expression columns, linear about the closed mouth of the mean face (`jaw_columns`). Neck and eyes
stay as they are.

Reference: Li et al. 2017, *Learning a model of facial shape and expression from 4D scans*.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError
from mofa3d.models.assembly import FaceData, assemble, first_columns, given_landmarks
from mofa3d.models.flame_texture import ALBEDO, SPACE, TEMPLATE, read_texture, sample_texture
from mofa3d.models.formats.obj import Wavefront, read_wavefront
from mofa3d.models.formats.restricted_pickle import read_arrays
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import MorphableModel

SOURCE = SourceFile("generic_model.pkl", "the face model FLAME", "https://flame.is.tue.mpg.de")
RELEASE_2023 = "flame2023.pkl"
METRE = 1000.0  # mm
SHAPE_MODES = 300  # the first columns of `shapedirs`; the others are expressions
JAW, JOINTS = 2, 5
JAW_DEVIATIONS = (0.12, 0.04)  # rad: opening, and sideways


def load(
    path: str | Path | None = None,
    *,
    texture: str | Path | None = None,
    uv: str | Path | None = None,
    landmarks: Sequence[int] | None = None,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
    reference: MorphableModel | None = None,
) -> MorphableModel:
    """Read ``generic_model.pkl`` or ``flame2023.pkl``, without executing anything in the pickle.

    Args:
        path: the file, or its folder if it has the name of the 2020 release.
        texture: ``FLAME_albedo_from_BFM.npz`` or ``FLAME_texture.npz``; by default the one beside the model,
            else the default model's reflectance is taken over.
        uv: ``head_template.obj``, with the texture coordinates of the vertices; by default the one beside the model.
        landmarks: 68 vertices of the file, counted from 0; by default guessed by shape from the default model.
        shape_count, expression_count, reflectance_count: how many modes to keep; all by default. The two columns of the
            jaw come on top of the expressions that are kept.
        reference: as `mofa3d.models.assembly.assemble` takes it.

    Raises:
        InputError: a file is missing or damaged, or the pickle holds anything but arrays.
    """
    if path is not None and (Path(path) / RELEASE_2023).is_file():
        path = Path(path) / RELEASE_2023
    file = SOURCE.locate(path)
    content = read_arrays(file)
    vertices = SOURCE.array(file, content, "v_template", (None, 3)).astype(np.float64) * METRE
    count = len(vertices)
    modes = SOURCE.array(file, content, "shapedirs", (count, 3, None)).astype(np.float64) * METRE
    if modes.shape[2] <= SHAPE_MODES:
        raise SOURCE.damaged(file, f"'shapedirs' has {modes.shape[2]} modes, expected more than {SHAPE_MODES}")
    faces = SOURCE.in_range(file, "f", SOURCE.array(file, content, "f", (None, 3)).astype(np.int64), count)
    weights = SOURCE.array(file, content, "weights", (count, JOINTS))
    regressor = SOURCE.array(file, content, "J_regressor", (JOINTS, count))
    pose = SOURCE.array(file, content, "posedirs", (count, 3, 9 * (JOINTS - 1))).astype(np.float64) * METRE
    jaw = jaw_columns(vertices, weights[:, JAW], regressor[JAW] @ vertices, pose[:, :, 9 * (JAW - 1) : 9 * JAW])
    expressions = first_columns(modes[:, :, SHAPE_MODES:], expression_count, "expression_count")
    mesh = _template(file, uv, count)
    data = FaceData(
        name="flame",
        vertices=vertices,
        faces=faces,
        shape_basis=first_columns(modes[:, :, :SHAPE_MODES], shape_count, "shape_count"),
        expression_basis=np.concatenate([expressions, jaw], axis=2),
        reflectance=_reflectance(file, texture, mesh, reflectance_count),
        landmarks=given_landmarks(landmarks, count),
        uv=None if mesh is None else mesh.uv,
    )
    return assemble(data, reference, reflectance_count)


def jaw_columns(
    vertices: Float[np.ndarray, "N 3"],
    weights: Float[np.ndarray, "N"],
    joint: Float[np.ndarray, "3"],
    pose_basis: Float[np.ndarray, "N 3 9"],
) -> Float[np.ndarray, "N 3 2"]:
    """What vertices do when the jaw begins to open and to move sideways, mm per `JAW_DEVIATIONS`.

    The derivative of skinning and pose correctives at rest; at two deviations of opening (14°) it is about 3 mm off at
    the chin.

    Args:
        vertices: mean face, mm.
        weights: of the jaw's joint.
        joint: where it is, mm.
        pose_basis: mm per entry of the joint's rotation matrix, row by row, minus the identity.
    """
    columns = []
    for axis, deviation in enumerate(JAW_DEVIATIONS):
        turn = np.cross(np.eye(3)[axis], np.eye(3)).T  # the derivative of the rotation matrix: turn @ v = e × v
        skinned = weights[:, None] * ((vertices - joint) @ turn.T)
        columns.append(deviation * (skinned + pose_basis @ turn.ravel()))
    return np.stack(columns, axis=2)


def _template(file: Path, uv: str | Path | None, count: int) -> Wavefront | None:
    where = TEMPLATE.beside(file, uv)
    if where is None:
        return None
    mesh = read_wavefront(where)
    if len(mesh.vertices) != count or mesh.uv is None:
        problem = f"{len(mesh.vertices)} vertices and {len(mesh.texture_faces)} triangles with texture coordinates"
        raise TEMPLATE.damaged(where, f"it has {problem}, expected the model's {count} vertices, with coordinates")
    return mesh


def _reflectance(
    file: Path, texture: str | Path | None, mesh: Wavefront | None, count: int | None
) -> tuple[np.ndarray, np.ndarray] | None:
    where = ALBEDO.locate(texture) if texture is not None else ALBEDO.beside(file, None) or SPACE.beside(file, None)
    if where is None:
        return None
    if mesh is None or mesh.uv is None:
        raise InputError(f"{where} is a texture, which needs {TEMPLATE.name}: get it from {TEMPLATE.url} and give uv=")
    return sample_texture(*read_texture(where, count), mesh.uv)
