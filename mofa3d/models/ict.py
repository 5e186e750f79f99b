"""ICT-FaceKit: a folder of meshes in one topology, an identity mode or an expression each.

Centimetres. Identity modes carry their standard deviation; an expression's coefficient 1 is that expression in full, so
N(0, 1) is rather wide for it. The light release has no reflectance.

Reference: Li et al. 2020, *Learning Formation of Physically-Based Face Attributes*.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mofa3d.errors import InputError
from mofa3d.models.assembly import FaceData, assemble, first_columns, keep_vertices
from mofa3d.models.formats.obj import read_vertices, read_wavefront
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import LANDMARK_COUNT, MorphableModel

URL = "https://github.com/ICT-VGL/ICT-FaceKit"
SOURCE = SourceFile("generic_neutral_mesh.obj", "the face model ICT-FaceKit", URL)
INDICES = SourceFile("vertex_indices.json", "the face model ICT-FaceKit", URL)
IDENTITIES = "identity[0-9][0-9][0-9].obj"
CENTIMETRE = 10.0  # mm
VERTEX_COUNT = 26_719
# Face, head, neck, mouth and eye sockets are one surface; the eyeballs follow after gums, tongue and teeth, which lie
# behind the lips, and before wet lids and lashes, which are not opaque.
PARTS = (range(14_062), range(21_451, 24_591))


def load(
    path: str | Path | None = None,
    *,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
    reference: MorphableModel | None = None,
) -> MorphableModel:
    """Read the identities and expressions that the folder has; reflectance comes from the default model.

    Args:
        path: the folder, or ``generic_neutral_mesh.obj`` in it.
        shape_count, expression_count, reflectance_count: how many modes to keep; all by default.
        reference: as `mofa3d.models.assembly.assemble` takes it.

    Raises:
        InputError: a file is missing or damaged, or no identity is there.
    """
    file = SOURCE.locate(path)
    folder = file.parent
    neutral = read_wavefront(file)
    if len(neutral.vertices) != VERTEX_COUNT:
        raise SOURCE.damaged(file, f"it has {len(neutral.vertices)} vertices, expected {VERTEX_COUNT}")
    names, landmarks = _indices(INDICES.locate(folder))
    identities = sorted(folder.glob(IDENTITIES))
    if not identities:
        raise InputError(f"there is no identity000.obj in {folder}; get the folder from {URL}")
    expressions = [folder / f"{name}.obj" for name in names if (folder / f"{name}.obj").is_file()]
    keep = np.concatenate([np.array(part) for part in PARTS])
    new = np.full(VERTEX_COUNT, -1)
    new[keep] = np.arange(len(keep))
    if (new[landmarks] < 0).any():
        number = int(new[landmarks].argmin())
        raise INDICES.damaged(folder / INDICES.name, f"landmark {number} is not on the skin")

    def modes(files: list[Path], count: int | None, option: str) -> np.ndarray:
        first_columns(np.empty((0, len(files))), count, option)
        columns = [_displacement(mode, neutral.vertices)[keep] for mode in files[:count]]
        return np.stack(columns, axis=-1) * CENTIMETRE if columns else np.zeros((len(keep), 3, 0))

    data = FaceData(
        name="ict",
        vertices=neutral.vertices[keep] * CENTIMETRE,
        faces=keep_vertices(keep, neutral.faces, VERTEX_COUNT),
        shape_basis=modes(identities, shape_count, "shape_count"),
        expression_basis=modes(expressions, expression_count, "expression_count"),
        landmarks=new[landmarks],
        uv=None if neutral.uv is None else neutral.uv[keep],
    )
    return assemble(data, reference, reflectance_count)


def _displacement(file: Path, neutral: np.ndarray) -> np.ndarray:
    vertices = read_vertices(file)
    if vertices.shape != neutral.shape:
        raise SOURCE.damaged(file, f"it has {len(vertices)} vertices, expected the neutral mesh's {len(neutral)}")
    return vertices - neutral


def _indices(file: Path) -> tuple[list[str], np.ndarray]:
    """Names of the expressions, and the vertices that are landmarks."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        names = [str(name) for name in content["expressions"]]
    except (ValueError, KeyError, TypeError) as error:  # of json
        raise INDICES.damaged(file, f"expected JSON with a list of 'expressions' ({error!r})") from error
    key = "idx_to_landmark_verts"
    landmarks = INDICES.array(file, content, key, (LANDMARK_COUNT,)).astype(np.int64)
    return names, INDICES.in_range(file, key, landmarks, VERTEX_COUNT)
