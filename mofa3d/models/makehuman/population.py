"""Move the mean face to where the average of photographed faces is.

The mean of MakeHuman's sliders has higher brows, a longer nose and a smaller chin than people have. Left alone, an
encoder pays for that with its cheapest modes: it opens every mouth to lower the chin.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FOCAL, DISTANCE = 1087.5, 1000.0  # pixels and mm, as `mofa3d.camera` sees faces at rest
POINTS = (*range(7, 10), *range(17, 68))
STRENGTH = 3.0  # of the prior on the coefficients, in px²
ROUNDS = 8


def average_landmarks() -> np.ndarray:
    """The 68 iBUG points of the average photograph (68, 2): pixels, x right, y up, about the middle of 27–67."""
    path = Path(__file__).with_name("average_landmarks.json")
    return np.array(json.loads(path.read_text(encoding="utf-8"))["points"])


def population_shape(mean: np.ndarray, shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """Shape coefficients (S,) that bring the mean face's landmarks to those of the average photograph.

    People smile for photographs, so an expression is fitted beside the shape, and left out of the answer.

    Args:
        mean: (68, 3) mm, the landmarks of the mean face.
        shape, expression: (68, 3, S) and (68, 3, E) mm per standard deviation.

    Returns:
        The maximum a posteriori estimate under a perspective camera with free scale and position (Gauss-Newton).
    """
    target, points = average_landmarks(), list(POINTS)
    modes = np.concatenate([shape, expression], axis=2)
    code, scale, offset = np.zeros(modes.shape[2]), 1.0, np.zeros(2)
    prior = np.concatenate([np.full(len(code), STRENGTH), np.full(3, 1e-6)])
    for _ in range(ROUNDS):
        surface = mean + modes @ code
        magnification = (FOCAL / (DISTANCE - surface[:, 2]))[:, None]
        projected = magnification * surface[:, :2]
        jacobian = np.concatenate(
            [
                scale * magnification[..., None] * modes[:, :2],
                projected[..., None],
                np.broadcast_to(np.eye(2), (len(mean), 2, 2)),
            ],
            axis=2,
        )[points].reshape(2 * len(points), -1)
        residual = (target - scale * projected - offset)[points].ravel()
        current = np.concatenate([code, np.zeros(3)])
        step = np.linalg.solve(jacobian.T @ jacobian + np.diag(prior), jacobian.T @ residual - prior * current)
        code, scale, offset = code + step[: len(code)], scale + step[len(code)], offset + step[-2:]
    return code[: shape.shape[2]]
