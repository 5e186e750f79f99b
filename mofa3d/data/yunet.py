"""Find faces in one picture with YuNet (Wu, Peng & Yu 2023), at the picture's own size."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.data import networks

STRIDE = 32  # sides of the network's input are multiples of it
LEAST = 128  # pixels of a side; on pictures a few dozen pixels high, OpenCV reads memory that nobody has written
OVERLAP = 0.3  # intersection over union above which YuNet keeps the surer of two boxes
MOST = 1000  # boxes that are looked at for that


class Boxes(NamedTuple):
    """Faces in pixels of the picture (its first centre is at (0.5, 0.5)), the surest first.

    Attributes:
        centres: x, y.
        sizes: side of the square with the box's area.
        points: eyes, tip of the nose, corners of the mouth; the left ones of an upright face first. Those of a face
            that is turned by more than 20° are wrong: they stay nearly upright.
        scores: in 0 to 1.
    """

    centres: Float[np.ndarray, "K 2"]
    sizes: Float[np.ndarray, "K"]
    points: Float[np.ndarray, "K 5 2"]
    scores: Float[np.ndarray, "K"]


def find(picture: UInt8[np.ndarray, "H W 3"], least: float) -> Boxes:
    """Faces of an RGB picture; they should be between 16 and 300 pixels large.

    Args:
        picture: small enough for the network's memory, about 100 bytes a pixel.
        least: score.
    """
    height, width = picture.shape[:2]
    below, right = (max(-side % STRIDE, LEAST - side) for side in (height, width))
    padded = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT)
    size = (width + right, height + below)
    detector = networks.kept((networks.YUNET, size), lambda: _make(size))
    detector.setScoreThreshold(least)
    found = detector.detect(cv2.cvtColor(padded, cv2.COLOR_RGB2BGR))[1]
    rows = np.zeros((0, 15)) if found is None else found.astype(np.float64)
    centres, sides = rows[:, :2] + rows[:, 2:4] / 2, rows[:, 2:4].clip(1e-3)
    return Boxes(centres, np.sqrt(sides.prod(axis=-1)), rows[:, 4:14].reshape(-1, 5, 2), rows[:, 14])


def _make(size: tuple[int, int]):
    nothing = np.zeros(0, dtype=np.uint8)
    return cv2.FaceDetectorYN.create(
        "onnx", networks.content(networks.YUNET), nothing, size, nms_threshold=OVERLAP, top_k=MOST
    )
