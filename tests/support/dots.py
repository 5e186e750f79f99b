"""Pictures of dots, and where a dot lies, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np


def dots(height: int, width: int, *centres: tuple[float, float], radius: float = 6.0) -> np.ndarray:
    """Soft white dots on black, whose centroids are exact to a hundredth of a pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    grey = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (radius / 2) ** 2)) for cx, cy in centres)
    return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)[..., None].repeat(3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weight = image[..., 0].astype(float)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
