"""Axis-angle rotations in double precision, with how they move."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

SMALL = 1e-4  # radians, below which series are used


def rotation_matrices(rotations: Float[np.ndarray, "B 3"]) -> Float[np.ndarray, "B 3 3"]:
    """R = exp(rotation) of axis-angle vectors in radians."""
    return Rotation.from_rotvec(rotations).as_matrix()


def right_jacobians(rotations: Float[np.ndarray, "B 3"]) -> Float[np.ndarray, "B 3 3"]:
    """J in R(r + dr) = R(r) exp(J dr), to first order.

    Reference: Solà et al. 2018, "A micro Lie theory for state estimation in robotics", Eq. 143.
    """
    angle = np.linalg.norm(rotations, axis=1)[:, None, None]
    safe = np.where(angle < SMALL, 1.0, angle)
    first = np.where(angle < SMALL, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    second = np.where(angle < SMALL, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    skew = skew_matrices(rotations)
    return np.eye(3) - first * skew + second * skew @ skew


def skew_matrices(vectors: Float[np.ndarray, "B 3"]) -> Float[np.ndarray, "B 3 3"]:
    """[v]ₓ, with which [v]ₓ w = v × w."""
    result = np.zeros((*vectors.shape[:-1], 3, 3))
    result[..., [2, 0, 1], [1, 2, 0]] = vectors
    result[..., [1, 2, 0], [2, 0, 1]] = -vectors
    return result


def rotation_gradients(
    rotations: Float[np.ndarray, "B 3"], by_matrix: Float[np.ndarray, "B 3 3"]
) -> Float[np.ndarray, "B 3"]:
    """The gradient of a function of R = exp(rotation) by the rotation, given the one by R's entries."""
    # d R = R [J dr]ₓ, so the entries of Rᵀ · gradient count against those of a skew matrix.
    turned = np.swapaxes(rotation_matrices(rotations), 1, 2) @ by_matrix
    axis = turned[:, [2, 0, 1], [1, 2, 0]] - turned[:, [1, 2, 0], [2, 0, 1]]
    return np.einsum("bij,bi->bj", right_jacobians(rotations), axis)
