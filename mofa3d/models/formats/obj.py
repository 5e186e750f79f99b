"""Read Wavefront OBJ meshes with their vertices in the file's order.

General readers split a vertex where texture coordinates have a seam, and then no mode fits the mesh any more.
`pytorch3d.io.load_obj` does not, but reads in float32, of which differences of two meshes keep few digits; takes 2 to 3
times as long, and reads faces where only vertices are asked for (0.7 s instead of 0.02 s for a mesh of ICT's 26719
vertices); and takes without an error what is damaged: index 0, indices out of range, NaN, a web page instead of a mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mofa3d.errors import InputError


@dataclass(frozen=True)
class Wavefront:
    """A mesh as it is in its file.

    Attributes:
        vertices: the file's unit.
        faces: triangles; polygons are cut into fans.
        texture: texture coordinates, origin at the bottom left; none if the file has none.
        texture_faces: their indices for the corners of `faces`; none if a corner has none.
    """

    vertices: Float[np.ndarray, "N 3"]
    faces: Int[np.ndarray, "F 3"]
    texture: Float[np.ndarray, "T 2"]
    texture_faces: Int[np.ndarray, "G 3"]

    @property
    def uv(self) -> Float[np.ndarray, "N 2"] | None:
        """Texture coordinates for each vertex, or ``None`` without any; a vertex on a seam takes one of its own."""
        if not len(self.texture_faces):
            return None
        uv = np.zeros((len(self.vertices), 2))
        uv[self.faces.ravel()] = self.texture[self.texture_faces.ravel()]
        return uv


def read_vertices(path: Path) -> Float[np.ndarray, "N 3"]:
    """The vertices of a mesh alone, in the file's order and unit.

    Raises:
        InputError: the file is no OBJ file or is damaged.
    """
    return _numbers(path, _lines(path), "v", 3)


def read_wavefront(path: Path) -> Wavefront:
    """Read a whole mesh.

    Raises:
        InputError: the file is no OBJ file or is damaged, or an index is out of range.
    """
    lines = _lines(path)
    vertices, texture = _numbers(path, lines, "v", 3), _numbers(path, lines, "vt", 2)
    corners, texture_corners = [], []
    for line in lines:
        if line.startswith("f "):
            polygon = [corner.split("/") for corner in line.split()[1:]]
            for i in range(1, len(polygon) - 1):
                fan = (polygon[0], polygon[i], polygon[i + 1])
                corners.append([corner[0] for corner in fan])
                texture_corners.append([corner[1] if len(corner) > 1 else "" for corner in fan])
    if not corners:
        raise _damaged(path, "it has no triangles")
    faces = _indices(path, corners, len(vertices))
    without = any("" in triangle for triangle in texture_corners)
    texture_faces = np.zeros((0, 3), np.int64) if without else _indices(path, texture_corners, len(texture))
    return Wavefront(vertices, faces, texture, texture_faces)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # a byte order mark would hide the first line
    except UnicodeDecodeError as error:
        raise _damaged(path, "it is not text") from error
    return [line.strip() for line in text.replace("\t", " ").splitlines()]


def _numbers(path: Path, lines: list[str], key: str, width: int) -> np.ndarray:
    rows = [line for line in lines if line.startswith(f"{key} ")]
    if not rows:
        if key == "v":
            raise _damaged(path, "it has no vertex")
        return np.zeros((0, width))
    try:
        numbers = np.loadtxt(rows, usecols=range(1, 1 + width), comments=None, ndmin=2)
    except ValueError as error:  # of np.loadtxt
        raise _damaged(path, f"a line of {key!r} does not hold {width} numbers") from error
    if not np.isfinite(numbers).all():
        raise _damaged(path, f"a number of {key!r} is not finite")
    return numbers


def _indices(path: Path, corners: list[list[str]], count: int) -> np.ndarray:
    try:
        indices = np.array(corners, dtype=np.int64) - 1
    except (ValueError, OverflowError) as error:  # of int()
        raise _damaged(path, "a face contains something that is not an index") from error
    if not 0 <= indices.min() <= indices.max() < count:
        low, high = indices.min() + 1, indices.max() + 1
        raise _damaged(path, f"faces have indices from {low} to {high}, expected 1 to {count}")
    return indices


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is no usable OBJ mesh: {problem}; get it again from where it came")
