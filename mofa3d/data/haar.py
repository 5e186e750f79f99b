"""Find faces with a Haar cascade, as the paper does (Viola & Jones; Bradski 2000), but with less noise.

A single cascade run answers with a box that jumps by several per cent when the photograph shifts by a pixel, and
every such jump moves and scales the crop. Here the raw, ungrouped answers of the photograph and of its mirror image are
grouped by overlap and averaged. Spread of the box against the face's landmarks on 900 photographs (300 each of aligned
crops, press photographs and video frames), as standard deviations over near-frontal faces in pixels of the 240 px
crop and in log scale (part of it is how faces differ, which no detector removes):

    cascade, as OpenCV groups it        x, y (video)   scale (video)   missed   ms
    frontalface_default, step 1.1       4.2, 3.9 px    0.084           1.3 %    29
    frontalface_alt2, step 1.1          3.2, 3.7 px    0.075           2.3 %    21
    frontalface_alt2, step 1.02         3.1, 3.4 px    0.071           0.0 %    104 (3 % wrong faces)
    frontalface_alt2, mirror, averaged  2.8, 3.4 px    0.075           0.3 %    45 (28 when small faces are skipped)
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo

CASCADE = "haarcascade_frontalface_alt2.xml"
SCALE_STEP = 1.1
BORDER = 0.25  # tight crops: no cascade finds a face that touches the border, so edges are replicated this far
WORKING_SIZE = 640  # longer side in pixels at which faces are searched
LARGE_FACE, SMALL_FACE = 0.2, 0.06  # smallest face searched first, and then, over the shorter side with its borders
LARGE_VOTES, SMALL_VOTES = 8, 6  # raw answers that must agree: true faces have about 80, 95 % of the wrong ones < 16
FAR_VOTES = 8  # of small faces beside large ones, where a wrong find is likelier than in a photograph without any
HALF_SURE = 12  # votes at which a score is one half
# The cascade's box by the square of the same face, over 26,000 photographs of three corpora: its side over the
# square's, and how far its middle lies below the square's, in the square's sides.
BOX_SIZE, BOX_SHIFT = 1.04453, -0.09459
SAME_FACE = 0.4  # of the smaller box that lies in the other; faces cheek to cheek share a quarter

_cascades = threading.local()  # a classifier keeps buffers, so every thread needs its own


@dataclass(frozen=True)
class HaarBox:
    """A square around a face, in pixels of the photograph (the centre of the top-left pixel is (0.5, 0.5)).

    Attributes:
        x, y: centre.
        size: side.
        votes: how many raw answers of the cascade agree on it.
    """

    x: float
    y: float
    size: float
    votes: int

    def overlap(self, other: HaarBox) -> float:
        """Intersection over union."""
        common = self._common(other)
        return common / (self.size**2 + other.size**2 - common)

    def shared(self, other: HaarBox) -> float:
        """How much of the smaller box lies in the larger one, 0 to 1: a box inside another is wholly shared."""
        return self._common(other) / min(self.size, other.size) ** 2

    def _common(self, other: HaarBox) -> float:
        half = (self.size + other.size) / 2
        width = min(half - abs(self.x - other.x), self.size, other.size)
        height = min(half - abs(self.y - other.y), self.size, other.size)
        return max(width, 0.0) * max(height, 0.0)


def one_each(boxes: Iterable[HaarBox]) -> list[HaarBox]:
    """One box for every face, those with most votes first: the others that lie mostly on one of these are left out.

    A detector that looks for several sizes finds a mouth or an eye within a face, or a face once more around it.
    """
    kept: list[HaarBox] = []
    for box in sorted(boxes, key=lambda box: -box.votes):
        if all(box.shared(other) <= SAME_FACE for other in kept):
            kept.append(box)
    return kept


def find_with_haar(photo: Photo, every_size: bool = False) -> list[FoundFace]:
    """Find the faces of a photograph, the best first: large, central and agreed on, none twice. Deterministic.

    Args:
        every_size: whether to look for small faces (below a fifth of the photograph) beside large ones as well; else
            they are only searched where there is no large one.
    """
    return [
        of_haar_box(box.x, box.y, box.size, box.votes / (box.votes + HALF_SURE))
        for box in find_boxes(photo, every_size)
    ]


def of_haar_box(x: float, y: float, size: float, score: float) -> FoundFace:
    """The face that the cascade would frame so, in pixels of the photograph."""
    return FoundFace.of_box(x, y, size / BOX_SIZE, score).moved_down(-BOX_SHIFT)


def find_boxes(photo: Photo, every_size: bool = False) -> list[HaarBox]:
    """The cascade's own boxes; see `find_with_haar`."""
    height, width = photo.shape[:2]
    shrink = min(1.0, WORKING_SIZE / max(height, width))
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    if shrink < 1:
        size = (max(1, round(shrink * width)), max(1, round(shrink * height)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    border = round(BORDER * max(grey.shape))
    grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
    groups = _group(_raw_boxes(grey, LARGE_FACE), LARGE_VOTES)
    if not groups:
        groups = _group(_raw_boxes(grey, SMALL_FACE), SMALL_VOTES)
    elif every_size:
        far = _group(_raw_boxes(grey, SMALL_FACE), FAR_VOTES)
        groups += [group for group in far if group[2] < LARGE_FACE * min(grey.shape)]
    boxes = [HaarBox((x - border) / shrink, (y - border) / shrink, s / shrink, n) for x, y, s, n in groups]
    inside = [box for box in boxes if 0 <= box.x <= width and 0 <= box.y <= height]
    return sorted(one_each(inside), key=lambda box: -_prominence(box, width, height))


def _prominence(box: HaarBox, width: int, height: int) -> float:
    off_centre = np.hypot(box.x / width - 0.5, box.y / height - 0.5)
    return box.votes**0.5 * box.size * (1 - off_centre)


def _raw_boxes(grey: np.ndarray, smallest: float) -> Float[np.ndarray, "K 3"]:
    """Every window (centre x, centre y, size) that the cascade accepts, in the photograph and in its mirror image."""
    if not hasattr(_cascades, "frontal"):
        _cascades.frontal = cv2.CascadeClassifier(cv2.data.haarcascades + CASCADE)
    pixels = max(20, round(smallest * min(grey.shape)))
    found = []
    for mirrored in (False, True):
        view = np.ascontiguousarray(grey[:, ::-1]) if mirrored else grey
        windows = _cascades.frontal.detectMultiScale(view, SCALE_STEP, minNeighbors=0, minSize=(pixels, pixels))
        for x, y, w, h in windows:
            centre = x + w / 2
            found.append((grey.shape[1] - centre if mirrored else centre, y + h / 2, (w + h) / 2))
    # OpenCV's order depends on its threads; averages do not, down to the last bit, only after sorting.
    return np.array(sorted(found), dtype=np.float64).reshape(-1, 3)


def _group(boxes: Float[np.ndarray, "K 3"], votes: int) -> list[tuple[float, float, float, int]]:
    """Average boxes that overlap by half around the one with most company, again and again."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    common = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low)).clip(0).prod(axis=-1)
    area = boxes[:, 2] ** 2
    together = common / (area[:, None] + area - common) > 0.5
    left = np.ones(len(boxes), dtype=bool)
    groups = []
    while left.any():
        company = (together & left).sum(axis=1) * left
        members = together[company.argmax()] & left
        if members.sum() < votes:
            break
        groups.append((*boxes[members].mean(axis=0).tolist(), int(members.sum())))
        left &= ~members
    return groups
