"""The photograph around an edited face."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.editing.background import spread_light, stretch

SIZE = 120


def disc(radius: float, centre: tuple[float, float] = (60, 60)) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.hypot(x - centre[0], y - centre[1]) < radius


@pytest.fixture
def image() -> np.ndarray:
    """Skin on the left of the face and below it, sky elsewhere."""
    image = np.full((SIZE, SIZE, 3), (0.3, 0.5, 0.9), dtype=np.float32)
    image[60:] = (0.7, 0.5, 0.4)
    image[disc(30)] = (0.8, 0.57, 0.46)
    return image


class TestSpreadLight:
    def test_follows_the_skin_and_fades(self, image):
        ratio = np.full_like(image, 2.0)
        factor = spread_light(ratio, image, disc(30))[..., 0]
        assert factor[60 + 34, 60] > 1.6  # skin beside the face
        assert 1.1 < factor[60 + 46, 60] < factor[60 + 34, 60]
        assert factor[60 - 34, 60] < 1.05  # sky as near to it
        assert factor[2, 2] == pytest.approx(1.0, abs=1e-4)
        assert factor[60 + 30, 60] == pytest.approx(2.0, abs=0.1)

    def test_same_light_changes_nothing(self, image):
        assert np.array_equal(spread_light(np.ones_like(image), image, disc(30)), np.ones_like(image))
        assert np.array_equal(spread_light(np.full_like(image, 2.0), image, disc(0)), np.ones_like(image))


class TestStretch:
    def test_outline_comes_to_lie_on_the_new_one(self):
        ring = np.repeat(np.where(disc(32) & ~disc(29), 1.0, 0.0)[..., None], 3, axis=2).astype(np.float32)
        moved = stretch(ring, disc(30.5), disc(24.5))[..., 0]
        y, x = np.mgrid[:SIZE, :SIZE]
        radius = (np.hypot(x - 60, y - 60) * moved).sum() / moved.sum()
        assert radius == pytest.approx(24.5, abs=0.7)

    def test_far_away_nothing_moves(self):
        image = np.random.default_rng(0).random((SIZE, SIZE, 3)).astype(np.float32)
        moved = stretch(image, disc(20), disc(24))
        np.testing.assert_allclose(moved[~disc(49)], image[~disc(49)], atol=1e-3)
        assert np.abs(moved - image)[disc(30)].max() > 0.3

    def test_faces_without_overlap_stay(self):
        image = np.random.default_rng(0).random((SIZE, SIZE, 3)).astype(np.float32)
        assert np.array_equal(stretch(image, disc(10, (30, 30)), disc(10, (90, 90))), image)
