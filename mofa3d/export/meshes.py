"""Write reconstructed faces as meshes (GLB, PLY, OBJ) and codes as JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from mofa3d.morphable_model import MorphableModel
from mofa3d.semantic_code import SemanticCode

MESH_SUFFIXES = (".glb", ".ply", ".obj")


def write_mesh(
    path: Path, model: MorphableModel, vertices: Float[Tensor, "N 3"], colors: Float[Tensor, "N 3"]
) -> None:
    """Write a face with vertex colours; the suffix chooses the format.

    Args:
        path: ends in ``.glb`` (metres, linear colours, as glTF wants), ``.ply`` or ``.obj`` (millimetres, display
            colours).
        model: gives the triangles.
        vertices: model space, mm.
        colors: display RGB, clamped to 0 to 1.

    Raises:
        ValueError: another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise ValueError(f"cannot write {path}: the suffix must be one of {', '.join(MESH_SUFFIXES)}")
    points = vertices.detach().cpu().double().numpy()
    rgb = colors.detach().cpu().clamp(0, 1).double().numpy()
    if suffix == ".glb":
        points, rgb = points / 1000, to_linear(rgb)
    rgba = np.concatenate([np.round(255 * rgb), np.full((len(rgb), 1), 255)], axis=1).astype(np.uint8)
    # process=False: merging or reordering vertices would break the correspondence between faces.
    mesh = trimesh.Trimesh(points, model.faces.cpu().numpy(), vertex_colors=rgba, process=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".glb":
        mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=rgba)
        mesh.vertex_normals  # noqa: B018  computed here, so that trimesh writes them
    path.write_bytes(_encoded(mesh, suffix))


def _encoded(mesh: trimesh.Trimesh, suffix: str) -> bytes:
    content = mesh.export(file_type=suffix[1:])
    return content.encode() if isinstance(content, str) else content


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """Display RGB to linear RGB by the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def write_code(path: Path, code: SemanticCode, extra: dict | None = None) -> None:
    """Write one semantic code (a batch of one) as JSON, block by block; `extra` joins it."""
    blocks = {block.name: getattr(code, block.name)[0].tolist() for block in fields(code)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**(extra or {}), **blocks}, indent=1) + "\n", encoding="utf-8")
