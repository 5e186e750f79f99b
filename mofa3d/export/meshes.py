"""Write faces with vertex colors: GLB, PLY and OBJ."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float, Int, UInt8
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
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (_as_ply if suffix == ".ply" else _as_obj)(points, faces, rgba))


def _as_ply(points: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], rgba: UInt8[np.ndarray, "N 4"]) -> bytes:
    """What trimesh writes but for its comment, without its import, which reconstructions would wait for."""
    vertices = np.zeros(len(points), [("place", "<f4", 3), ("color", "u1", 4)])
    vertices["place"], vertices["color"] = points, rgba
    triangles = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"], triangles["corners"] = 3, faces
    header = [
        *("ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"),
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue", "alpha")),
        *(f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""),
    ]
    return "\n".join(header).encode() + vertices.tobytes() + triangles.tobytes()


def _as_obj(points: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], rgba: UInt8[np.ndarray, "N 4"]) -> bytes:
    import trimesh

    # process=False: merging or reordering vertices would break the correspondence between faces.
    mesh = trimesh.Trimesh(points, faces, vertex_colors=rgba, process=False)
    return cast(str, mesh.export(file_type="obj")).encode()
