"""Display colours and linear ones."""

from __future__ import annotations

import numpy as np


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """Display RGB to linear RGB by the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def to_display(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB, not negative, to display RGB: the inverse of `to_linear`."""
    return np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
