"""Trembling goes, movement stays, gaps are bridged, and nothing is smoothed across a cut."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mofa3d.reconstruction.video.head_motion import FacePath
from mofa3d.reconstruction.video.smoothing import SmoothingConfig, bridged, jitter, smoothed

CONFIG = SmoothingConfig()


def make_path(count: int, noise: float = 0.0) -> FacePath:
    """A head that goes along a parabola and shakes from side to side."""
    generator = np.random.default_rng(0)
    time = np.arange(count) / 25

    def around(values: np.ndarray, scale: float = 1.0) -> np.ndarray:
        return values + noise * scale * generator.normal(size=values.shape)

    turn = np.stack([0.1 * time, 3.0 + 0.4 * np.sin(2 * time), np.zeros(count)], axis=1)  # passes half a turn
    return FacePath(
        origin=around(np.stack([100 + 30 * time, 80 - 10 * time**2], axis=1)),
        distance=np.exp(around(np.log(1000 + 20 * time), 0.01)),
        scale=np.exp(around(np.full(count, 0.3), 0.01)),
        roll=around(170 + 8 * time, 2.0),
        turn=Rotation.from_rotvec(around(turn, 0.02)).as_matrix(),
        expression=around(np.sin(time)[:, None] * np.ones(4)),
        illumination=around(np.zeros((count, 9, 3))),
    )


def angles(path: FacePath, other: FacePath) -> np.ndarray:
    return np.degrees((Rotation.from_matrix(path.turn).inv() * Rotation.from_matrix(other.turn)).magnitude())


class TestSmoothed:
    def test_noise_becomes_less_everywhere(self):
        true, noisy = make_path(100), make_path(100, 1.0)
        result = smoothed(noisy, 25.0, CONFIG)
        for name in ("origin", "distance", "scale", "roll", "expression", "illumination"):
            errors = [np.square(getattr(path, name) - getattr(true, name)).mean() for path in (noisy, result)]
            assert errors[1] < 0.45 * errors[0], name
        assert np.square(angles(result, true)).mean() < 0.45 * np.square(angles(noisy, true)).mean()
        assert np.abs(np.linalg.det(result.turn) - 1).max() < 1e-9

    def test_parabolas_stay_as_they_are(self):
        path = make_path(60)
        result = smoothed(path, 25.0, CONFIG)
        np.testing.assert_allclose(result.origin, path.origin, atol=1e-9)
        np.testing.assert_allclose(result.distance, path.distance, rtol=1e-6)
        assert angles(result, path).max() < 0.05
        assert np.abs(result.expression - path.expression).max() < 1e-3

    def test_half_a_turn_is_no_jump(self):
        """Axis-angle vectors jump at half a turn, rotations do not."""
        path = make_path(100)
        vectors = Rotation.from_matrix(path.turn).as_rotvec()
        assert np.abs(np.diff(vectors, axis=0)).max() > 3
        assert angles(smoothed(path, 25.0, CONFIG), path).max() < 0.05

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
    def test_few_frames(self, count):
        path = make_path(count, 1.0)
        result = smoothed(path, 25.0, CONFIG)
        assert len(result) == count
        assert np.isfinite(result.origin).all()
        if count <= 3:
            np.testing.assert_allclose(result.origin, path.origin)

    def test_no_window_leaves_everything(self):
        path = make_path(40, 1.0)
        result = smoothed(path, 25.0, SmoothingConfig(motion=0.0, light=0.0))
        np.testing.assert_array_equal(result.origin, path.origin)
        np.testing.assert_allclose(result.turn, path.turn, atol=1e-12)

    def test_window_is_a_time(self):
        """At twice the rate, it has twice as many frames, so that less noise stays."""
        noisy, true = make_path(200, 1.0), make_path(200)
        errors = [np.square(smoothed(noisy, rate, CONFIG).origin - true.origin).mean() for rate in (25.0, 50.0)]
        assert errors[1] < 0.75 * errors[0]


class TestBridged:
    def test_short_gap_is_filled(self):
        whole = make_path(20)
        frames = np.delete(np.arange(20), [8, 9, 10])
        [run] = bridged(whole[frames], frames, np.zeros(17, dtype=int), 3)
        assert run.frames.tolist() == list(range(20))
        assert np.flatnonzero(~run.seen).tolist() == [8, 9, 10]
        assert np.abs(run.path.origin - whole.origin).max() < 0.08
        assert angles(run.path, whole).max() < 0.3
        np.testing.assert_array_equal(run.path.illumination.shape, whole.illumination.shape)

    def test_long_gaps_and_other_tracks_cut(self):
        frames = np.array([0, 1, 2, 7, 8, 9, 10, 11])
        tracks = np.array([0, 0, 0, 0, 0, 1, 1, 1])
        runs = bridged(make_path(8), frames, tracks, 3)
        assert [run.frames.tolist() for run in runs] == [[0, 1, 2], [7, 8], [9, 10, 11]]
        assert all(run.seen.all() for run in runs)


class TestJitter:
    def test_is_the_mean_second_difference(self):
        points = np.zeros((5, 2, 2))
        points[2] = 3.0  # second differences 3, -6, 3
        assert jitter(points, np.arange(5)) == 4.0

    def test_steady_motion_has_none(self):
        assert jitter(np.arange(6.0)[:, None, None] * np.ones((6, 68, 2)), np.arange(6)) == 0

    def test_nothing_is_compared_across_a_gap(self):
        points = np.zeros((6, 1, 2))
        points[3:] = 100.0
        assert jitter(points, np.array([0, 1, 2, 10, 11, 12])) == 0
        assert np.isnan(jitter(points[:2], np.arange(2)))
        assert np.isnan(jitter(points[:3], np.array([0, 1, 3])))


def test_config():
    with pytest.raises(ValueError, match="windows, gaps and orders are at least 0, got motion -1"):
        SmoothingConfig(motion=-1.0)
