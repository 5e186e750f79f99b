"""Mirror images and smooth continuations on meshes."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.models.mesh_fields import extend, mirror_vertices


def strip(length: int, width: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """A flat strip of triangles with edges of 1 mm."""
    row, column = np.mgrid[:length, :width]
    vertices = np.stack([column + 0.5 * row, row * np.sqrt(3) / 2, 0 * row], axis=-1).reshape(-1, 3)
    index = np.arange(length * width).reshape(length, width)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def test_mirror_images_are_the_nearest_vertices():
    vertices = np.array([[1.0, 0, 0], [-1.1, 0, 0], [0, 2, 0], [3, 0, 1], [-3, 0, 1]])
    assert mirror_vertices(vertices).tolist() == [1, 0, 2, 4, 3]


def test_values_fade_exponentially_over_the_reach():
    vertices, faces = strip(60)
    known = vertices[:, 1] < 0.1
    values = np.where(known, 3.0, np.nan)[:, None]
    result = extend(values, known, vertices, faces, far=np.array([1.0]), reach=8.0)[:, 0]
    middle = np.abs(vertices[:, 0] - 0.5 * vertices[:, 1] / (np.sqrt(3) / 2) - 4) < 0.1
    height = vertices[middle, 1]
    expected = 1 + 2 * np.exp(-height / 8.0)
    assert result[known] == pytest.approx(3.0)
    assert result[middle][height < 30] == pytest.approx(expected[height < 30], abs=0.1)  # its sides count as whole


def test_parts_without_known_vertices_take_the_far_value():
    vertices, faces = strip(5)
    both = np.concatenate([vertices, vertices + np.array([100.0, 0, 0])])
    known = np.zeros(len(both), dtype=bool)
    known[:4] = True
    values = np.full((len(both), 2), [0.7, 0.2])
    result = extend(values, known, both, np.concatenate([faces, faces + len(vertices)]), np.array([0.4, 0.3]), 1e6)
    assert result[len(vertices) :] == pytest.approx(np.full((len(vertices), 2), [0.4, 0.3]))
    assert result[: len(vertices)] == pytest.approx(np.full((len(vertices), 2), [0.7, 0.2]), abs=1e-4)
