"""What lies before a head in its photograph, so that overlays leave it there: hair, hats, hands, collars.

The model's head is bald and ends at the neck. Where the photograph differs from it, by more than light and the model's
smoothness explain, it shows something else. Only what hangs together with the features counts as the face.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

INNER = slice(17, 68)  # of the 68 iBUG points: brows, eyes, nose and mouth
GROWN = 1.15  # how much larger than their convex hull the part is that always counts
WORKED_AT = 128  # pixels of a crop's side at which the pictures are compared
LIGHTNESS, CHROMA = 18.0, 12.0  # differences in CIELAB that count alike
SURE, ALIEN = 0.8, 1.6  # of them, up to which a pixel shows the head, and from which something else
BLUR, SOFT = 1.2, 2.0  # pixels, of what is compared and of the border of the features
GAP = 9  # pixels across of holes that are closed, as wrinkles and spots of light
HOLE = 0.03  # of the crop's area, up to which holes are closed that skin surrounds, as the shadow below a chin
EDGE, EVEN = 4, 1e-3  # radius in pixels, and variance of grey, of the filter that draws borders to the photograph's


def in_front(
    photo: UInt8[np.ndarray, "S S 3"],
    rgba: Float[np.ndarray, "S S 4"],
    landmarks: Float[np.ndarray, "68 2"],
    crop: int,
) -> Float[np.ndarray, "S S"]:
    """How far each pixel of the head is hidden by something else, 0 to 1; 0 beside the head.

    Args:
        photo: the part of the photograph that `rgba` shows.
        rgba: the rendered head, 0 to 1, colors multiplied by alpha.
        landmarks: of the head in these pixels.
        crop: how many of these pixels the side of the face's crop has.
    """
    shrink = min(1.0, WORKED_AT / crop)
    side = max(1, round(shrink * len(photo)))
    small, drawn = (cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in (photo, rgba))
    alpha = drawn[..., 3]
    shown = small.astype(np.float32) / 255
    model = (drawn[..., :3] / np.maximum(alpha, 1e-3)[..., None]).astype(np.float32).clip(0, 1)
    features = _features(landmarks * side / len(photo), side)
    head = alpha > 0.5
    skin = np.maximum(_agreement(shown, model, head), features)
    skin = _connected(cv2.medianBlur(np.round(255 * skin).astype(np.uint8), 5), features)
    skin = _carried_on(skin, head | (features > 0))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP, GAP))
    closed = cv2.morphologyEx(skin, cv2.MORPH_CLOSE, disk).astype(np.float32) / 255
    share = cv2.GaussianBlur(_along_edges(closed, cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)), (0, 0), 1.0)
    share = np.maximum(share, cv2.GaussianBlur(features, (0, 0), SOFT))
    hidden = cv2.resize((1 - share).clip(0, 1), rgba.shape[:2], interpolation=cv2.INTER_LINEAR)
    return np.where(rgba[..., 3] > 0, hidden, 0).astype(np.float32)


def _features(landmarks: Float[np.ndarray, "68 2"], side: int) -> Float[np.ndarray, "s s"]:
    """1 where the features are, 0 elsewhere."""
    hull = cv2.convexHull(landmarks[INNER].astype(np.float32))[:, 0]
    middle = hull.mean(axis=0)
    hull = middle + GROWN * (hull - middle)
    mask = np.zeros((side, side), dtype=np.uint8)
    # OpenCV counts pixel centres from 0, we from 0.5; points far outside would overflow its numbers.
    corners = ((hull - 0.5).clip(-side, 2 * side) * 16).round().astype(np.int32)
    cv2.fillConvexPoly(mask, corners, 1, shift=4)
    return mask.astype(np.float32)


def _agreement(
    photo: Float[np.ndarray, "s s 3"], model: Float[np.ndarray, "s s 3"], head: Bool[np.ndarray, "s s"]
) -> Float[np.ndarray, "s s"]:
    """1 where both have about the same color, 0 where they have not and beside the head."""
    weights = head.astype(np.float32)
    apart = cv2.cvtColor(photo, cv2.COLOR_RGB2Lab) - cv2.cvtColor(model, cv2.COLOR_RGB2Lab)
    blurred = cv2.GaussianBlur(apart * weights[..., None], (0, 0), BLUR)
    mean = blurred / np.maximum(cv2.GaussianBlur(weights, (0, 0), BLUR), 1e-3)[..., None]
    size = np.linalg.norm(mean / np.array([LIGHTNESS, CHROMA, CHROMA], dtype=np.float32), axis=-1)
    return weights * ((ALIEN - size) / (ALIEN - SURE)).clip(0, 1)


def _connected(skin: UInt8[np.ndarray, "s s"], features: Float[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
    """Without the parts that do not hang together with the features, and without small holes."""
    count, labels = cv2.connectedComponents((skin > 127).astype(np.uint8))
    kept = np.zeros(count, dtype=np.uint8)
    kept[np.unique(labels[features > 0])] = 1
    kept[0] = 0
    joined = skin * cv2.dilate(kept[labels], np.ones((3, 3), dtype=np.uint8))
    _, labels, sizes, _ = cv2.connectedComponentsWithStats((joined <= 127).astype(np.uint8), connectivity=4)
    small = sizes[:, cv2.CC_STAT_AREA] < HOLE * WORKED_AT**2
    small[0] = False
    return np.where(small[labels], np.uint8(255), joined)


def _carried_on(values: UInt8[np.ndarray, "s s"], inside: Bool[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s"]:
    """The values inside, and elsewhere those of the nearest pixel inside: filters would draw in what is outside."""
    if not inside.any():
        return values
    kind = cv2.DIST_LABEL_PIXEL
    nearest = cv2.distanceTransformWithLabels((~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=kind)[1]
    of_label = np.zeros(nearest.max() + 1, dtype=np.uint8)
    of_label[nearest[inside]] = values[inside]
    return of_label[nearest]


def _along_edges(mask: Float[np.ndarray, "s s"], grey: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
    """The mask with its borders where the picture has edges: a guided filter (He, Sun & Tang 2010)."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * EDGE + 1, 2 * EDGE + 1))

    middle, share = mean(grey), mean(mask)
    slope = (mean(grey * mask) - middle * share) / (mean(grey * grey) - middle * middle + EVEN)
    return (mean(slope) * grey + mean(share - slope * middle)).clip(0, 1)
