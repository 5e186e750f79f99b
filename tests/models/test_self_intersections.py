"""Triangles that pass through each other are found; neighbours that only touch are not."""

from __future__ import annotations

import numpy as np
import trimesh

from mofa3d.models.self_intersections import crossing_triangles


def test_two_triangles_that_cross_and_two_that_do_not():
    flat = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0]], dtype=float)
    upright = np.array([[1, 1, -1], [1, 1, 1], [1.5, 1, 0.5]])
    faces = np.arange(6).reshape(2, 3)
    assert crossing_triangles(np.concatenate([flat, upright]), faces).tolist() in ([[0, 1]], [[1, 0]])
    assert len(crossing_triangles(np.concatenate([flat, upright + np.array([0, 0, 3])]), faces)) == 0


def test_a_sphere_is_whole_until_a_vertex_is_pushed_through_it():
    sphere = trimesh.creation.icosphere(3, 10.0)
    vertices, faces = np.array(sphere.vertices), np.array(sphere.faces)
    assert len(crossing_triangles(vertices, faces)) == 0
    vertices[0] *= -1.2
    found = crossing_triangles(vertices, faces)
    pushed = (faces == 0).any(axis=1)
    assert len(found) > 0
    assert (pushed[found].sum(axis=1) >= 1).all()


def test_of_triangles_with_a_common_vertex_the_opposite_side_counts():
    points = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [2, 1, -1], [1, 1, 1]], dtype=float)
    assert len(crossing_triangles(points, np.array([[0, 1, 2], [0, 3, 4]]))) == 1
    points[3:, 2] = [1, 2]
    assert len(crossing_triangles(points, np.array([[0, 1, 2], [0, 3, 4]]))) == 0


def test_many_small_triangles_cross_as_each_pair_alone_does():
    random = np.random.default_rng(0)
    corners = random.uniform(0, 10, size=(120, 1, 3)) + random.normal(size=(120, 3, 3)) * [1, 1, 3]
    faces = np.arange(360).reshape(-1, 3)
    found = {tuple(sorted(pair)) for pair in crossing_triangles(corners.reshape(-1, 3), faces).tolist()}
    alone = {
        (i, j)
        for i in range(120)
        for j in range(i + 1, 120)
        if len(crossing_triangles(corners[[i, j]].reshape(-1, 3), faces[:2]))
    }
    assert found == alone
    assert len(found) > 50
