"""Look closer at one place of a photograph with BlazeFace (Bazarevsky et al. 2019): is a face there, how is it turned?

BlazeFace sees 128 × 128 pixels, too few to search a photograph with, but it knows a face's roll up to 60° either way,
about which YuNet is wrong by half; and it disagrees with most of YuNet's mistakes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.data import networks

SIZE = 128  # pixels that the network sees
GRIDS = ((16, 2), (8, 6))  # cells along a side, and answers in each
CENTRAL = 0.25  # of the side: so far from the middle may a face's centre be, or a neighbour would be taken for it
NEAR = 0.3  # intersection over union with the best answer, from which answers are averaged, weighted by their scores


class Look(NamedTuple):
    """The surest face of a picture, in its pixels.

    Attributes:
        score: in 0 to 1.
        centre, size: of a square from the brows to the chin.
        points: eyes, tip of the nose, middle of the mouth, ears; the left ones of an upright face first.
    """

    score: float
    centre: Float[np.ndarray, "2"]
    size: float
    points: Float[np.ndarray, "6 2"]

    @property
    def roll(self) -> float:
        """Degrees by which the line between the eyes is turned clockwise."""
        right, down = self.points[1] - self.points[0]
        return float(np.degrees(np.arctan2(down, right)))


def look(picture: UInt8[np.ndarray, "128 128 3"]) -> Look:
    """The surest face in the middle of a small RGB picture; where there is none, its score is low."""
    network = networks.tflite(networks.BLAZEFACE)
    network.setInput(cv2.dnn.blobFromImage(picture, 1 / 127.5, (SIZE, SIZE), (127.5, 127.5, 127.5)))
    logits, boxes = network.forward(["classificators", "regressors"])
    logits, boxes = logits.ravel().astype(np.float64), boxes.reshape(-1, 8, 2).astype(np.float64)
    boxes[:, 0] += _anchors()
    boxes[:, 2:] += _anchors()[:, None]
    scores = 1 / (1 + np.exp(-logits.clip(-50, 50)))
    central = np.abs(boxes[:, 0] - SIZE / 2).max(axis=1) < CENTRAL * SIZE
    best = int((scores * central).argmax())
    weights = scores * (_overlaps(boxes, best) >= NEAR)
    weights[best] = scores[best]
    mean = np.einsum("n,nij->ij", weights, boxes) / weights.sum()
    return Look(float(scores[best]), mean[0], float(mean[1].max()), mean[2:])


@cache
def _anchors() -> Float[np.ndarray, "896 2"]:
    """The middle of the cell of every answer, in pixels."""
    cells = []
    for count, answers in GRIDS:
        down, right = np.mgrid[:count, :count]
        middles = (np.stack([right, down], axis=-1).reshape(-1, 2) + 0.5) * SIZE / count
        cells.append(middles.repeat(answers, axis=0))
    return np.concatenate(cells)


def _overlaps(boxes: Float[np.ndarray, "N 8 2"], one: int) -> Float[np.ndarray, "N"]:
    sizes = np.abs(boxes[:, 1])
    low, high = boxes[:, 0] - sizes / 2, boxes[:, 0] + sizes / 2
    common = (np.minimum(high, high[one]) - np.maximum(low, low[one])).clip(0).prod(axis=-1)
    area = sizes.prod(axis=-1)
    return common / np.maximum(area + area[one] - common, 1e-9)
