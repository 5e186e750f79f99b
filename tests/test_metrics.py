"""Metrics against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mofa3d import metrics
from mofa3d.losses import LANDMARKS_46
from mofa3d.scene import Rendering


def test_photometric_error_is_the_mean_over_what_counts():
    positions = torch.full((2, 3, 2), 1.5)
    positions[0, 2] = -5.0  # outside
    colors = torch.zeros(2, 3, 3)
    colors[0, 0, 0], colors[0, 1, 0], colors[0, 2, 0] = 0.3, 0.6, 0.9
    weights = torch.tensor([[0.001, 0.003, 0.001], [0.0, 0.0, 0.0]])
    error = metrics.photometric_error(Rendering(positions, colors, weights), torch.zeros(2, 3, 3, 3))
    assert float(error[0]) == pytest.approx((0.3 + 3 * 0.6) / 4, abs=1e-6)
    assert math.isnan(error[1])


def test_landmark_error_is_the_mean_distance_of_the_known_points():
    ours, theirs, confidence = torch.zeros(2, 68, 2), torch.zeros(2, 68, 2), torch.zeros(2, 68)
    theirs[0, 30] = torch.tensor([3.0, 4.0])
    theirs[0, 31] = torch.tensor([0.0, 1.0])
    theirs[0, 0] = 100.0  # not one of the 46
    theirs[0, 40] = 100.0  # not detected
    confidence[0, [0, 30]] = 1.0
    confidence[0, 31] = 0.1  # counts as much as any other
    error = metrics.landmark_error(ours, theirs, confidence)
    assert float(error[0]) == pytest.approx(3.0)
    assert math.isnan(error[1])


def test_area_ratio_of_a_shrunken_face():
    theirs = 240 * torch.rand(3, 68, 2, generator=torch.Generator().manual_seed(0))
    ours = 0.8 * theirs + 17
    confidence = torch.ones(3, 68)
    confidence[1, LANDMARKS_46[3]] = 0  # a missing point
    confidence[2, 0] = 0  # a missing point that is not used
    ratio = metrics.area_ratio(ours, theirs, confidence)
    assert float(ratio[0]) == pytest.approx(0.64, rel=1e-4)
    assert math.isnan(ratio[1])
    assert float(ratio[2]) == pytest.approx(0.64, rel=1e-4)


class TestGeometricError:
    region = torch.tensor([True] * 30 + [False] * 10)

    def face(self) -> torch.Tensor:
        return 80 * torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def test_translation_and_scale_do_not_count_but_the_pose_does(self):
        face, still = self.face(), torch.zeros(1, 3, dtype=torch.float64)
        moved = 1.7 * face + torch.tensor([5.0, -40.0, 300.0], dtype=torch.float64)
        assert float(metrics.geometric_error(moved, still, face, still, self.region)) == pytest.approx(0, abs=1e-9)
        turned = torch.tensor([[0.0, 0.3, 0.0]], dtype=torch.float64)
        assert float(metrics.geometric_error(face, turned, face, turned, self.region)) == pytest.approx(0, abs=1e-9)
        assert float(metrics.geometric_error(face, turned, face, still, self.region)) > 10

    def test_one_displaced_point_by_hand(self):
        still = torch.zeros(1, 3, dtype=torch.float64)
        # Symmetric points, so that moving one pair apart and another together changes neither middle nor scale.
        face = torch.tensor([[[10.0, 0, 0], [-10, 0, 0], [0, 10, 0], [0, -10, 0]]], dtype=torch.float64)
        other = torch.tensor([[[10.0, 0, 3], [-10, 0, 3], [0, 10, -3], [0, -10, -3]]], dtype=torch.float64)
        everywhere = torch.ones(4, dtype=torch.bool)
        # The best scale of `face` is 1 because the displacement is orthogonal to it: every point is 3 mm off.
        assert float(metrics.geometric_error(face, still, other, still, everywhere)) == pytest.approx(3, abs=1e-9)

    def test_only_the_region_counts(self):
        face, still = self.face(), torch.zeros(1, 3, dtype=torch.float64)
        other = face.clone()
        other[:, 30:] += 100
        assert float(metrics.geometric_error(face, still, other, still, self.region)) == pytest.approx(0, abs=1e-9)
