"""The front of a head gets most of its texture, and nothing else turns over or is lost."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.export.texture_room import HIDDEN, LEAST, room_for_front


def strip(count: int = 200) -> np.ndarray:
    """Triangles of 1 mm along a line."""
    left = np.arange(count, dtype=float)
    return np.stack(
        [np.stack([left, 0 * left], 1), np.stack([left + 1, 0 * left], 1), np.stack([left, 1 + 0 * left], 1)], 1
    )


def test_the_front_keeps_its_size_and_the_rest_shrinks_with_its_distance():
    corners, chart = strip(), np.zeros(200, dtype=int)
    front = (np.arange(200) >= 90) & (np.arange(200) < 110)
    moved = room_for_front(corners, chart, front)
    width = np.ptp(moved[..., 0], axis=1)
    np.testing.assert_allclose(width[front], 1.0, atol=1e-9)
    assert (np.diff(width[109:]) <= 1e-9).all()
    assert (np.diff(width[:91]) >= -1e-9).all()
    assert width.min() == pytest.approx(LEAST, rel=0.02)
    assert (np.diff(moved[:, 0, 0]) > 0).all()


def test_a_chart_without_front_becomes_smaller_as_a_whole():
    corners = np.concatenate([strip(), strip() + 500])
    chart, front = np.repeat([0, 1], 200), np.arange(400) < 20
    moved = room_for_front(corners, chart, front)
    np.testing.assert_allclose(np.ptp(moved[200:], axis=1), HIDDEN * np.ptp(corners[200:], axis=1))


@pytest.mark.parametrize("front", [np.zeros(200, bool), np.ones(200, bool), np.arange(200) < 80])
def test_nothing_changes_without_need(front):
    corners = strip()
    assert room_for_front(corners, np.zeros(200, dtype=int), front) is corners
