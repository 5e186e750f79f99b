"""The sRGB transfer function."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.export import to_linear


def test_to_linear_at_known_values():
    display = np.array([0.0, 0.04045, 0.5, 188 / 255, 1.0])
    expected = [0.0, 0.0031308, 0.2140411, 0.5028865, 1.0]
    np.testing.assert_allclose(to_linear(display), expected, atol=1e-6)
    # The two branches meet.
    assert to_linear(np.array(0.040449)) == pytest.approx(float(to_linear(np.array(0.040451))), abs=1e-6)
