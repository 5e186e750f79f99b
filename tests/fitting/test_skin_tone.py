"""The skin's color in photographs, in a person's other photographs, and in a code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.fitting.skin_tone import CHEEKS, SkinTone, cheek_color, tone_of_others


def test_color_of_the_cheeks_is_that_under_their_points():
    image = np.zeros((3, 240, 240), dtype=np.float32)
    image[:, 100:140, 60:100] = np.array([0.6, 0.4, 0.3])[:, None, None]
    dense = np.full((478, 2), 20.0, dtype=np.float32)  # all other points lie elsewhere
    dense[list(CHEEKS)] = [80.0, 120.0]
    np.testing.assert_allclose(cheek_color(image, dense), [0.6, 0.4, 0.3], atol=1e-6)
    dense[list(CHEEKS[:6])] = [-50.0, 120.0]  # outside the crop
    np.testing.assert_allclose(cheek_color(image, dense), [0.6, 0.4, 0.3], atol=1e-6)
    assert np.isnan(cheek_color(image, dense - 1000)).all()


class TestOthers:
    colors = np.exp([[-0.2] * 3, [-0.4] * 3, [-0.6] * 3, [-1.2] * 3, [-1.4] * 3, [-9e9] * 3])

    def test_a_photograph_takes_no_part_in_its_own(self):
        people = np.array([0, 0, 0, 1, 1, 2])
        found = tone_of_others(self.colors, people, np.arange(6))
        apart = found.mean[:5, 0]
        # -0.5, -0.4 and -0.3 for the first person, -1.4 and -1.2 for the second, and a constant.
        np.testing.assert_allclose(np.diff(apart), [0.1, 0.1, -1.1, 0.2], atol=1e-9)
        assert np.average(found.mean[:, 0], weights=found.weight) == pytest.approx(0, abs=1e-9)
        assert found.weight[5] == 0
        assert found.mean[5].tolist() == [0, 0, 0]
        assert 0 < found.weight[3] < found.weight[0] < 1

    def test_frames_of_one_sitting_say_nothing_about_each_other(self):
        people = np.zeros(6, dtype=int)
        assert not tone_of_others(self.colors, people, people).weight.any()
        found = tone_of_others(self.colors[:3], people[:3], np.array([0, 0, 1]))
        np.testing.assert_allclose(found.mean[0] - found.mean[2], [-0.3] * 3, atol=1e-9)
        np.testing.assert_allclose(found.mean[0], found.mean[1])

    def test_unknown_colors_count_for_nothing(self):
        colors = self.colors[:3].copy()
        colors[1] = np.nan
        found = tone_of_others(colors, np.zeros(3, dtype=int), np.arange(3))
        np.testing.assert_allclose(found.mean[0] - found.mean[2], [-0.4] * 3, atol=1e-9)
        assert found.weight[1] == 0


class TestOfCodes:
    def test_is_the_mean_color_of_the_cheeks(self, default_model):
        tone = SkinTone(default_model)
        code = torch.randn(2, 80, generator=torch.Generator().manual_seed(0))
        colors = default_model.reflectance(code)
        points = default_model.at_landmarks(default_model.mean_shape)
        for side in (0, 1):
            cheek = points[[2, 31, 41, 48] if side else [14, 35, 46, 54]].mean(dim=0)
            away = (default_model.mean_shape - cheek)[:, :2].norm(dim=1)
            near = (away < 5) & default_model.frontal
            assert near.sum() > 5
            assert float((colors[:, near].mean(dim=1) - tone(code)).abs().max()) < 0.1
        torch.testing.assert_close(tone(torch.zeros(1, 80)), tone.mean[None])

    def test_from_photographs_scales_the_average(self, default_model):
        tone = SkinTone(default_model)
        found = tone.from_photographs(np.array([[0.0] * 3, [-0.5, -0.5, -0.6]]), contrast=2.0)
        mean = tone.mean.double().numpy()
        np.testing.assert_allclose(found[0], mean)
        level = -1.6 / 3
        hue = np.array([-0.5, -0.5, -0.6]) - level
        np.testing.assert_allclose(found[1], mean * np.exp(2.0 * level + hue))
