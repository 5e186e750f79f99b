"""Display colours and linear ones."""

from __future__ import annotations

import numpy as np


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """Display RGB to linear RGB by the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
