"""Write faces with vertex colors: GLB, PLY and OBJ."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.export.gltf import write_glb
from mofa3d.files.whole import write_bytes
from mofa3d.morphable_model import MorphableModel

MESH_SUFFIXES = (".glb", ".ply", ".obj")


def write_mesh(path: Path, model: MorphableModel, vertices: Float[Tensor, "N 3"], colors: Float[Tensor, "N 3"]) -> None:
    """Write a face with vertex colors; the suffix chooses the format.

    Args:
        path: ends in ``.glb`` (metres, linear colors, as glTF wants), ``.ply`` or ``.obj`` (display colors).
        model: gives the triangles.
        vertices: model space, mm; for PLY and OBJ files, in the file's unit.
        colors: display RGB, clamped to 0 to 1.

    Raises:
        InputError: another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise InputError(f"cannot write {path}: the suffix must be one of {', '.join(MESH_SUFFIXES)}")
    if suffix == ".glb":
        write_glb(path, vertices, model.faces, colors)
        return
    rgb = colors.detach().cpu().clamp(0, 1).double().numpy()
    rgba = np.concatenate([np.round(255 * rgb), np.full((len(rgb), 1), 255)], axis=1).astype(np.uint8)
    points, faces = vertices.detach().cpu().double().numpy(), model.faces.cpu().numpy()
    # process=False: merging or reordering vertices would break the correspondence between faces.
    mesh = trimesh.Trimesh(points, faces, vertex_colors=rgba, process=False)
    content = cast("str | bytes", mesh.export(file_type=suffix[1:]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.encode() if isinstance(content, str) else content)
