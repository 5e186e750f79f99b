"""A small face with everything a published model has, for writing files in every format and for checking what is read.

Half an ellipsoid with plausible landmarks, away from the origin, as published models are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from mofa3d.models.assembly import FaceData, assemble
from mofa3d.morphable_model import MorphableModel

SIDE = 24
ORIGIN = np.array([4.0, -9.0, 30.0])
# Angles (to the subject's left, upwards) of the 68 iBUG points on the ellipsoid.
_HALF_JAW = [(-1.25, 0.35), (-1.25, 0.15), (-1.2, -0.05), (-1.15, -0.25), (-1.0, -0.45), (-0.8, -0.6), (-0.55, -0.72),
             (-0.3, -0.8)]  # fmt: skip
_HALF_BROW = [(-0.7, 0.5), (-0.58, 0.6), (-0.45, 0.63), (-0.32, 0.6), (-0.18, 0.52)]
_NOSE = [(0.0, 0.38), (0.0, 0.25), (0.0, 0.12), (0.0, 0.0), (-0.2, -0.12), (-0.1, -0.14), (0.0, -0.16), (0.1, -0.14),
         (0.2, -0.12)]  # fmt: skip
_EYE = [(-0.6, 0.35), (-0.5, 0.42), (-0.38, 0.42), (-0.25, 0.34), (-0.38, 0.28), (-0.5, 0.28)]
_MOUTH = [(-0.35, -0.4), (-0.22, -0.33), (-0.1, -0.3), (0.0, -0.31), (0.1, -0.3), (0.22, -0.33), (0.35, -0.4),
          (0.22, -0.5), (0.1, -0.55), (0.0, -0.56), (-0.1, -0.55), (-0.22, -0.5), (-0.28, -0.4), (-0.1, -0.38),
          (0.0, -0.38), (0.1, -0.38), (0.28, -0.4), (0.1, -0.44), (0.0, -0.45), (-0.1, -0.44)]  # fmt: skip


def _mirror(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-u, v) for u, v in reversed(points)]


_OTHER_EYE = [(-_EYE[i][0], _EYE[i][1]) for i in (3, 2, 1, 0, 5, 4)]
_JAW, _BROWS = [*_HALF_JAW, (0.0, -0.85), *_mirror(_HALF_JAW)], [*_HALF_BROW, *_mirror(_HALF_BROW)]
ANGLES = np.array([*_JAW, *_BROWS, *_NOSE, *_EYE, *_OTHER_EYE, *_MOUTH])


@dataclass(frozen=True)
class Face:
    """Numbers in mm and display RGB, float64; columns are orthonormal, deviations apart.

    Attributes:
        vertices: (N, 3).
        faces: (F, 3) counter-clockwise from outside.
        landmarks: (68,) vertices.
        shape, expression, color: (3N, K) orthonormal columns.
        shape_deviations, expression_deviations, color_deviations: (K,).
        mean_color: (N, 3).
        uv: (N, 2) from the bottom left.
    """

    vertices: np.ndarray
    faces: np.ndarray
    landmarks: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    color: np.ndarray
    shape_deviations: np.ndarray
    expression_deviations: np.ndarray
    color_deviations: np.ndarray
    mean_color: np.ndarray
    uv: np.ndarray

    @property
    def count(self) -> int:
        return len(self.vertices)

    def geometry(self, shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Vertices (N, 3) of a code, mm, with the origin of the file."""
        flat = self.shape @ (self.shape_deviations * shape)
        flat = flat + self.expression @ (self.expression_deviations * expression)
        return self.vertices + flat.reshape(-1, 3)

    def reflectance(self, code: np.ndarray) -> np.ndarray:
        return self.mean_color + (self.color @ (self.color_deviations * code)).reshape(-1, 3)


def part_of(face: Face, keep: np.ndarray) -> Face:
    """The face on some of its vertices, in the given order; the landmarks must be among them."""
    new = np.full(face.count, -1)
    new[keep] = np.arange(len(keep))
    rows = (3 * keep[:, None] + np.arange(3)).ravel()
    return replace(
        face,
        vertices=face.vertices[keep],
        faces=new[face.faces][(new[face.faces] >= 0).all(axis=1)],
        landmarks=new[face.landmarks],
        shape=face.shape[rows],
        expression=face.expression[rows],
        color=face.color[rows],
        mean_color=face.mean_color[keep],
        uv=face.uv[keep],
    )


@cache
def make_face(shape_modes: int = 5, expression_modes: int = 4, color_modes: int = 6) -> Face:
    random = np.random.default_rng(7)
    u, v = (grid.ravel() for grid in np.meshgrid(np.linspace(-1.4, 1.4, SIDE), np.linspace(-1.3, 1.3, SIDE)))
    vertices = np.stack([75 * np.sin(u) * np.cos(v), 95 * np.sin(v), 80 * np.cos(u) * np.cos(v)], axis=1)
    vertices[:, 2] += 20 * np.exp(-((u / 0.25) ** 2) - (v / 0.3) ** 2)  # a nose
    index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    distance = np.hypot(u[:, None] - ANGLES[:, 0], v[:, None] - ANGLES[:, 1])

    def columns(count: int) -> np.ndarray:
        return np.linalg.qr(random.normal(size=(3 * len(vertices), count)))[0]

    return Face(
        vertices=vertices + ORIGIN,
        faces=faces,
        landmarks=distance.argmin(axis=0),
        shape=columns(shape_modes),
        expression=columns(expression_modes),
        color=columns(color_modes),
        shape_deviations=np.linspace(80, 20, shape_modes),
        expression_deviations=np.linspace(50, 10, expression_modes),
        color_deviations=np.linspace(3, 1, color_modes),
        mean_color=0.3 + 0.4 * random.random((len(vertices), 3)),
        uv=np.stack([u / 2.8 + 0.5, v / 2.6 + 0.5], axis=1),
    )


@cache
def make_reference() -> MorphableModel:
    """A stand-in for the default model: the same face, with a frontal region and a reflectance of its own."""
    face = make_face()
    u, v = (2.8 * (face.uv[:, 0] - 0.5), 2.6 * (face.uv[:, 1] - 0.5))
    color = np.stack([0.5 + 0.2 * u, 0.5 + 0.2 * v, 0.5 * np.ones_like(u)], axis=1)
    data = FaceData(
        name="reference",
        vertices=face.vertices,
        faces=face.faces,
        shape_basis=np.zeros((face.count, 3, 1)),
        expression_basis=np.zeros((face.count, 3, 1)),
        reflectance=(color, 0.1 * color[:, :, None]),
        landmarks=face.landmarks,
        frontal=(np.abs(u) < 0.9) & (np.abs(v) < 0.85),
    )
    return assemble(data)


def check_geometry(model: MorphableModel, face: Face, shape: int | None = None, expression: int | None = None) -> None:
    """Random codes give the file's geometry to 1e-4 mm, moved as the landmarks of the mean face say."""
    sizes = model.sizes
    assert sizes.shape == (face.shape.shape[1] if shape is None else shape)
    assert sizes.expression == (face.expression.shape[1] if expression is None else expression)
    offset = np.array([0, 0, 47.5]) - face.vertices[face.landmarks[27:68]].mean(axis=0)
    random = np.random.default_rng(1)
    for _ in range(3):
        alpha, delta = random.normal(size=face.shape.shape[1]), random.normal(size=face.expression.shape[1])
        alpha[sizes.shape :], delta[sizes.expression :] = 0, 0
        codes = (torch.from_numpy(code[None]) for code in (alpha[: sizes.shape], delta[: sizes.expression]))
        read = model.double().geometry(*codes)[0].numpy()
        assert np.abs(read - face.geometry(alpha, delta) - offset).max() < 1e-4


def check_reflectance(model: MorphableModel, face: Face, modes: int | None = None) -> None:
    """Random codes give the file's colors, RGB in 0 to 1."""
    assert model.sizes.reflectance == (face.color.shape[1] if modes is None else modes)
    code = np.random.default_rng(2).normal(size=face.color.shape[1])
    code[model.sizes.reflectance :] = 0
    read = model.double().reflectance(torch.from_numpy(code[None, : model.sizes.reflectance]))[0].numpy()
    assert np.abs(read - face.reflectance(code)).max() < 1e-5


def check_face(model: MorphableModel, face: Face) -> None:
    """Landmarks, orientation and frontal region are where they should be."""
    points = model.double().landmarks(model.mean_shape[None])[0].numpy()
    offset = np.array([0, 0, 47.5]) - face.vertices[face.landmarks[27:68]].mean(axis=0)
    assert np.abs(points - face.vertices[face.landmarks] - offset).max() < 1e-4
    a, b, c = (model.mean_shape[model.faces[:, corner]] for corner in range(3))
    assert float(torch.linalg.cross(b - a, c - a)[:, 2].sum()) > 0
    assert np.array_equal(np.sort(model.faces.numpy(), axis=1), np.sort(face.faces, axis=1))
    frontal = model.frontal.numpy()
    assert 0.2 < frontal.mean() < 0.6
    assert frontal[face.landmarks[27:68]].all()
