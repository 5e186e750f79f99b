"""Lightness and typology angle of colors whose CIELAB values are known."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.pictures.color import TYPOLOGY, lightness, typology_angle


def test_white_black_and_middle_grey():
    colors = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.4663, 0.4663, 0.4663]])
    assert lightness(colors) == pytest.approx([100, 0, 50], abs=0.3)  # OpenCV interpolates in a table


def test_angle_of_a_color_worked_out_by_hand():
    # sRGB (0.8, 0.6, 0.5): linear (0.604, 0.319, 0.214), XYZ/white (0.418, 0.372, 0.237), so L* = 67.4 and b* = 20.2.
    assert lightness(np.array([[0.8, 0.6, 0.5]])) == pytest.approx([67.4], abs=0.3)
    assert typology_angle(np.array([[0.8, 0.6, 0.5]])) == pytest.approx([np.degrees(np.arctan2(17.4, 20.2))], abs=1.0)


def test_lighter_skin_has_a_greater_angle():
    skin = np.array([0.8, 0.6, 0.5]) * np.linspace(0.35, 1.2, 12)[:, None]
    angles = typology_angle(skin)
    assert (np.diff(angles) > 0).all()
    assert angles[0] < TYPOLOGY["dark"]
    assert angles[-1] > TYPOLOGY["intermediate"]


def test_colors_beyond_display_are_clipped():
    assert lightness(np.array([[1.5, 1.2, 3.0], [-0.2, 0.0, -1.0]])) == pytest.approx([100, 0], abs=0.1)
