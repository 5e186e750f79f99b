"""Mirror images and smooth continuations on meshes."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.models.mesh_fields import extend, fields_of, mirror_vertices


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


def test_the_equations_are_solved_exactly():
    vertices, faces = strip(12)
    rng = np.random.default_rng(0)
    known, values, far = rng.random(len(vertices)) < 0.3, rng.normal(size=(len(vertices), 2)), np.array([0.5, -1.0])
    near = np.zeros((len(vertices), len(vertices)))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        near[faces[:, a], faces[:, b]] = near[faces[:, b], faces[:, a]] = 1
    screened = np.diag(near.sum(axis=1) + 1.5 * (1 / 4.0) ** 2) - near
    expected = values.copy()
    right = -screened[~known][:, known] @ (values[known] - far)
    expected[~known] = np.linalg.solve(screened[~known][:, ~known], right) + far
    np.testing.assert_allclose(extend(values, known, vertices, faces, far, reach=4.0), expected, atol=1e-12)


def test_a_face_model_is_looked_at_once(tiny_model):
    fields = fields_of(tiny_model)
    assert fields_of(tiny_model) is fields
    assert np.array_equal(fields.mirror, mirror_vertices(tiny_model.mean_shape.double().numpy()))
    other = tiny_model.with_reflectance(tiny_model.mean_reflectance, tiny_model.reflectance_basis)
    assert fields_of(other) is not fields


def test_parts_without_known_vertices_take_the_far_value():
    vertices, faces = strip(5)
    both = np.concatenate([vertices, vertices + np.array([100.0, 0, 0])])
    known = np.zeros(len(both), dtype=bool)
    known[:4] = True
    values = np.full((len(both), 2), [0.7, 0.2])
    result = extend(values, known, both, np.concatenate([faces, faces + len(vertices)]), np.array([0.4, 0.3]), 1e6)
    assert result[len(vertices) :] == pytest.approx(np.full((len(vertices), 2), [0.4, 0.3]))
    assert result[: len(vertices)] == pytest.approx(np.full((len(vertices), 2), [0.7, 0.2]), abs=1e-4)
