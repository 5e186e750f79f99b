"""Cutting a mesh keeps exactly the positive part, with cut points on the zero line."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.models.makehuman.clipping import clip


def grid(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The unit square as (count - 1)² · 2 triangles, counter-clockwise."""
    x, y = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, count))
    index = np.arange(count * count).reshape(count, count)
    a, b, c, d = (index[i : count - 1 + i, j : count - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return np.stack([x.ravel(), y.ravel()], axis=1), triangles


def areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


@pytest.mark.parametrize("normal", [(1.0, 0.0), (-1.0, 0.0), (0.6, 0.8), (-0.6, 0.8)])
def test_half_a_square(normal):
    points, triangles = grid(8)
    field = (points - [0.52, 0.47]) @ normal
    matrix, kept, origin = clip(field, triangles)
    cut_points = matrix @ points
    assert np.abs((matrix @ field)[len(points) :]).max() < 1e-12
    assert (matrix @ field)[kept].min() > -1e-12
    pieces = areas(cut_points, kept)
    assert pieces.min() > 0  # orientation is kept
    fine, fine_triangles = grid(1001)
    inside = (fine[fine_triangles].mean(axis=1) - [0.52, 0.47]) @ normal > 0
    assert pieces.sum() == pytest.approx(areas(fine, fine_triangles)[inside].sum(), abs=2e-3)
    # Every piece lies in the triangle that it comes from.
    centres = cut_points[kept].mean(axis=1)
    corners = points[triangles[origin]]
    for i in range(3):
        edge, offset = corners[:, (i + 1) % 3] - corners[:, i], centres - corners[:, i]
        assert (edge[:, 0] * offset[:, 1] - edge[:, 1] * offset[:, 0]).min() > 0


def test_neighbours_share_their_cut_points():
    points, triangles = grid(6)
    matrix, kept, _ = clip(points[:, 0] - 0.5, triangles)
    cut_points = (matrix @ points)[len(points) :]
    assert len(np.unique(cut_points.round(9), axis=0)) == len(cut_points) == 11
    assert set(kept[kept >= len(points)]) == set(range(len(points), len(points) + 11))


def test_nothing_and_everything():
    points, triangles = grid(3)
    assert len(clip(-np.ones(len(points)), triangles)[1]) == 0
    matrix, kept, origin = clip(np.ones(len(points)), triangles)
    assert matrix.shape == (9, 9)
    assert np.array_equal(kept, triangles[origin])
