"""Rotations and their derivatives against PyTorch3D and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch3d.transforms import axis_angle_to_matrix

from mofa3d.kernels.rotations import right_jacobians, rotation_gradients, rotation_matrices, skew_matrices

DIRECTION = np.array([0.6, -0.48, 0.64])
ANGLES = [1e-9, 1e-5, 0.9e-4, 1.1e-4, 0.01, 0.5, 2.0, 3.1]


@pytest.fixture(params=ANGLES)
def rotation(request) -> np.ndarray:
    return request.param * DIRECTION[None]


def test_matrices(rotation):
    expected = axis_angle_to_matrix(torch.from_numpy(rotation)).numpy()
    np.testing.assert_allclose(rotation_matrices(rotation), expected, atol=1e-9)


def test_no_rotation():
    assert (rotation_matrices(np.zeros((1, 3))) == np.eye(3)).all()
    assert (right_jacobians(np.zeros((1, 3))) == np.eye(3)).all()


def test_skew_matrices_are_cross_products():
    a, b = np.array([1.0, 2.0, -3.0]), np.array([0.5, -1.5, 4.0])
    np.testing.assert_allclose(skew_matrices(a[None])[0] @ b, np.cross(a, b))


def test_jacobians_against_differences(rotation):
    step, matrix = 1e-6, rotation_matrices(rotation)[0]
    columns = []
    for axis in np.eye(3):
        ahead, behind = (rotation_matrices(rotation + sign * step * axis)[0] for sign in (1, -1))
        change = matrix.T @ (ahead - behind) / (2 * step)
        columns.append([change[2, 1], change[0, 2], change[1, 0]])
    np.testing.assert_allclose(right_jacobians(rotation)[0], np.transpose(columns), atol=1e-8)


def test_gradients_against_automatic_differentiation():
    rotations = np.concatenate([angle * DIRECTION[None] for angle in ANGLES[4:]])
    by_matrix = np.random.default_rng(0).normal(size=(len(rotations), 3, 3))
    leaf = torch.from_numpy(rotations).requires_grad_()
    (axis_angle_to_matrix(leaf) * torch.from_numpy(by_matrix)).sum().backward()
    np.testing.assert_allclose(rotation_gradients(rotations, by_matrix), leaf.grad.numpy(), atol=1e-9)
