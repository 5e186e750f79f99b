"""Triangles look outwards, whatever winding they come with."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from face_files import make_face

from mofa3d.models.orientation import orient


def sides(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


@pytest.mark.parametrize("flipped", [0.0, 0.3, 0.5, 1.0])
def test_open_face(flipped):
    face = make_face()
    faces = face.faces.copy()
    some = np.random.default_rng(0).random(len(faces)) < flipped
    faces[some] = faces[some][:, [0, 2, 1]]
    result = orient(face.vertices, faces)
    expected = face.faces.copy()
    assert np.array_equal(np.sort(result, axis=1), np.sort(expected, axis=1))
    np.testing.assert_allclose(sides(face.vertices, result), sides(face.vertices, expected))


def test_each_part_on_its_own():
    """A closed head, an eyeball in it, and a socket, which is seen from its hollow side."""
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    hollow = faces[(vertices[faces][:, :, 2] < 0.1).all(axis=1)]
    parts = [(100 * vertices, faces), (12 * vertices + [30, 20, 80], faces[:, [0, 2, 1]]),
             (14 * vertices + [-30, 20, 80], hollow)]  # fmt: skip
    points = np.concatenate([part[0] for part in parts])
    triangles = np.concatenate([part[1] + len(vertices) * i for i, part in enumerate(parts)])
    result = orient(points, triangles)
    head, eye, socket = np.split(result, [len(faces), 2 * len(faces)])
    centres = points[head].mean(axis=1)
    assert (np.einsum("fi,fi->f", sides(points, head), centres) > 0).all()
    centres = points[eye].mean(axis=1) - [30, 20, 80]
    assert (np.einsum("fi,fi->f", sides(points, eye), centres) > 0).all()
    assert sides(points, socket)[:, 2].sum() > 0
    np.testing.assert_array_equal(result[:, 0], triangles[:, 0])  # the order of the triangles is kept


def test_strip_without_sides_stays():
    angle = np.linspace(0, 2 * np.pi, 13)[:-1]
    direction = np.stack([np.cos(angle), np.sin(angle), np.zeros(12)], axis=1)
    tilt = np.cos(angle / 2)[:, None] * direction + np.sin(angle / 2)[:, None] * [0, 0, 1]
    vertices = np.concatenate([direction - 0.2 * tilt, direction + 0.2 * tilt])
    low, high = np.arange(12), np.arange(12) + 12
    next_low, next_high = np.append(low[1:], high[0]), np.append(high[1:], low[0])
    faces = np.concatenate([np.stack([low, next_low, next_high], 1), np.stack([low, next_high, high], 1)])
    np.testing.assert_array_equal(orient(vertices, faces), faces)
