"""The sRGB transfer function."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.pictures.color import to_display, to_linear


def test_to_linear_at_known_values():
    display = np.array([0.0, 0.04045, 0.5, 188 / 255, 1.0])
    expected = [0.0, 0.0031308, 0.2140411, 0.5028865, 1.0]
    np.testing.assert_allclose(to_linear(display), expected, atol=1e-6)
    # The two branches meet.
    assert to_linear(np.array(0.040449)) == pytest.approx(float(to_linear(np.array(0.040451))), abs=1e-6)


def test_to_display_is_the_inverse():
    display = np.linspace(0, 1, 101)
    np.testing.assert_allclose(to_display(to_linear(display)), display, atol=1e-6)
    assert float(to_display(np.array(0.2140411))) == pytest.approx(0.5, abs=1e-6)
    assert float(to_display(np.array(4.0))) == pytest.approx(1.8248, abs=1e-4)  # brighter than white stays so
