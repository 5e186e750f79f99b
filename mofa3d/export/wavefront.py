"""Write a textured face as Wavefront OBJ with its material and its picture beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mofa3d.export.gltf import Texture

MATERIAL = "skin"


def write_textured_obj(path: Path, vertices: Float[Tensor, "N 3"], texture: Texture) -> None:
    """Write a face as OBJ (millimetres), with a material file and a PNG of the same name beside it.

    The vertices keep the model's order; only texture coordinates are there once per chart.

    Args:
        path: ends in ``.obj``; missing folders are made.
        vertices: model space, mm.
        texture: on the model of the vertices.

    Raises:
        ValueError: another suffix, or a name with white space, which material files cannot refer to.
    """
    if path.suffix.lower() != ".obj":
        raise ValueError(f"cannot write {path}: the suffix must be .obj")
    if any(character.isspace() for character in path.stem):
        raise ValueError(f"cannot write {path}: its material could not be found by a name with spaces; rename it")
    material, picture = path.with_suffix(".mtl"), path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = texture.layout
    coordinates, corners = layout.uv.cpu().numpy(), layout.faces.cpu()
    pairs = np.stack([layout.source[corners].numpy(), corners.numpy()], axis=-1).reshape(len(corners), 6) + 1
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"mtllib {material.name}\n")
        np.savetxt(file, vertices.detach().cpu().numpy(), fmt="v %.5f %.5f %.5f")
        np.savetxt(file, coordinates, fmt="vt %.6f %.6f")
        file.write(f"usemtl {MATERIAL}\n")
        np.savetxt(file, pairs, fmt="f %d/%d %d/%d %d/%d")
    material.write_text(
        f"newmtl {MATERIAL}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n", encoding="utf-8"
    )
    Image.fromarray(texture.image).save(picture)
