"""How light or dark skin is: CIELAB lightness and the individual typology angle of display colors."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """Display RGB to linear RGB by the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def to_display(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB, not negative, to display RGB: the inverse of `to_linear`."""
    return np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)


LUMA = (0.299, 0.587, 0.114)  # of display RGB (ITU-R BT.601)
# Upper ends, in degrees, of the classes of Chardon et al. 1991; above the last one skin counts as very light.
TYPOLOGY = {"dark": -30.0, "brown": 10.0, "tan": 28.0, "intermediate": 41.0, "light": 55.0}


def lightness(colors: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K"]:
    """CIELAB L*, 0 to 100, of display RGB in 0 to 1."""
    return _lab(colors)[:, 0]


def typology_angle(colors: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K"]:
    """Individual typology angle ITA = atan((L* − 50) / b*) of display RGB in 0 to 1, degrees; light skin is high.

    It describes skin under a standard light. Of photographs, whose exposure and color balance differ, only large
    differences mean something.

    Reference: Chardon, Cretois and Hourseau 1991, "Skin colour typology and suntanning pathways".
    """
    lab = _lab(colors)
    return np.degrees(np.arctan2(lab[:, 0] - 50, lab[:, 2]))


def _lab(colors: np.ndarray) -> np.ndarray:
    clipped = np.clip(colors, 0, 1).astype(np.float32)
    return cv2.cvtColor(clipped[:, None], cv2.COLOR_RGB2LAB)[:, 0].astype(np.float64)
