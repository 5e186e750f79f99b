"""The region of a face is the hull of its points and a forehead as high as the nose is long."""

from __future__ import annotations

import pytest
import torch

from mofa3d.evaluation.comparison.pixels.errors import face_region

SIZE = 80


def square(left: float, top: float, side: float, nose: float) -> torch.Tensor:
    """68 points in a square: brows along its top, the rest of the face along its bottom, a nose in the middle."""
    points = torch.zeros(68, 2)
    points[:, 0] = torch.linspace(left, left + side, 68)
    points[:, 1] = top + side
    points[17:27, 0] = torch.linspace(left, left + side, 10)
    points[17:27, 1] = top
    points[27:36, 0] = left + side / 2
    points[27:36, 1] = torch.linspace(top + side / 2, top + side / 2 + nose, 9)
    points[33] = torch.tensor([left + side / 2, top + side / 2 + nose])
    return points


def region(points, confidence=None, average=None, size=SIZE):
    confidence = torch.ones(1, 68) if confidence is None else confidence
    average = points if average is None else average
    return face_region(points[None], confidence, average, SIZE, size)[0]


def test_area_and_place():
    mask = region(square(20, 30, 40, nose=10))
    assert set(mask.unique().tolist()) == {0, 1}
    # Square of 40 and above it 10 rows of forehead.
    assert float(mask.sum()) == pytest.approx(40 * 50, rel=0.06)
    rows, columns = mask.nonzero(as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == pytest.approx((20, 69), abs=1)
    assert (int(columns.min()), int(columns.max())) == pytest.approx((20, 59), abs=1)


def test_forehead_follows_the_nose_of_a_face_on_its_side():
    upright = square(20, 30, 40, nose=10)
    lying = torch.stack([SIZE - upright[:, 1], upright[:, 0]], dim=1)
    a, b = region(upright), region(lying)
    assert float((a.rot90(-1) - b).abs().sum()) < 0.06 * float(a.sum())


def test_another_size():
    half = region(square(20, 30, 40, nose=10), size=SIZE // 2)
    assert half.shape == (40, 40)
    assert float(half.sum()) == pytest.approx(20 * 25, rel=0.12)


def test_unknown_points_mean_the_average_face():
    average = square(10, 20, 30, nose=5)
    confidence = torch.ones(1, 68)
    confidence[0, 40] = 0
    assert torch.equal(region(square(20, 30, 40, 10), confidence, average), region(average))
