"""478 points of a face and its 52 expression scores, with the networks of MediaPipe's face landmarker.

The points are those of MediaPipe's face mesh: 0 to 467 on the skin and lips, 468 to 472 the iris on the left of the
upright face (the subject's right) and 473 to 477 the other (Kartynnik et al. 2019; Grishchenko et al. 2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from mofa3d.data import networks
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo

SIZE = 256  # pixels that the network sees
WIDE = 1.5  # side of the square that it sees, over the box around the face, as in MediaPipe
LOOKS = 3  # with two, a turned photograph's code changes by more than 5 %
PRESENT = 0.5  # below it, there is probably no face, or one that is turned away
OUTER_EYES = (33, 263)

# The points that the expression network takes, and what its scores are called: both from MediaPipe.
EXPRESSION_POINTS = (
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80),
    *(81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153),
    *(154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249),
    *(251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314),
    *(317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382),
    *(384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478)),
)
EXPRESSION_NAMES = (
    *("neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff"),
    *("cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight"),
    *("eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight"),
    *("eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight"),
    *("mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel"),
    *("mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker"),
    *("mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft"),
    *("mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    *("noseSneerLeft", "noseSneerRight"),
)


class DenseLandmarks(NamedTuple):
    """What the networks say about one face.

    Attributes:
        points: x, y in pixels of the photograph; z in pixels too, of the turned face: 0 is near the middle of the head,
            negative is nearer to the viewer.
        presence: how sure the network is that it saw a face, in 0 to 1.
        expression: ARKit's scores in 0 to 1, in the order of `EXPRESSION_NAMES`; left is the subject's left.
    """

    points: Float[np.ndarray, "478 3"]
    presence: float
    expression: Float[np.ndarray, "52"]


def detect_dense_landmarks(photo: Photo, face: FoundFace) -> DenseLandmarks:
    """The points of a face that was found, whatever its roll.

    The network looks `LOOKS` times, each time around the points of the look before, as it does in videos: where the
    detector put the face then matters less, and a photograph that is turned gives nearly the same points. A look that
    loses the face does not count.
    """
    best = _look(photo, CropTransform.around((face.x, face.y), WIDE * face.size, face.roll, SIZE))
    for _ in range(1, LOOKS):
        closer = _look(photo, region_around(best.points))
        if closer.presence < PRESENT and closer.presence < best.presence:
            break
        best = closer
    return best.landmarks()


def read_region(photo: Photo, region: CropTransform) -> DenseLandmarks:
    """The points of the face that is upright in the middle of a region of `SIZE` pixels."""
    return _look(photo, region).landmarks()


class _Look(NamedTuple):
    """What the first network says about a region: points in its pixels, and its presence."""

    region: CropTransform
    upright: Float[np.ndarray, "478 3"]
    presence: float

    @property
    def points(self) -> Float[np.ndarray, "478 3"]:
        flat = self.region.to_photo(self.upright[:, :2])
        return np.column_stack([flat, self.upright[:, 2] / self.region.scale]).astype(np.float32)

    def landmarks(self) -> DenseLandmarks:
        return DenseLandmarks(self.points, self.presence, expression_of(self.upright[:, :2]))


def _look(photo: Photo, region: CropTransform) -> _Look:
    network = networks.tflite(networks.FACE_LANDMARKS)
    network.setInput(cv2.dnn.blobFromImage(resample(photo, region, SIZE), 1 / 255))
    points, presence = network.forward(["Identity", "Identity_1"])
    logit = min(max(float(presence.item()), -50.0), 50.0)
    return _Look(region, points.reshape(478, 3).astype(np.float64), 1 / (1 + math.exp(-logit)))


def expression_of(upright: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "52"]:
    """Expression scores of points of an upright face, at any scale."""
    network = networks.tflite(networks.FACE_BLENDSHAPES)
    network.setInput(upright[None, list(EXPRESSION_POINTS)].astype(np.float32))
    return network.forward().ravel().copy()


def region_around(points: Float[np.ndarray, "478 dims"]) -> CropTransform:
    """Where to look for these points in the next frame of a video, as MediaPipe does."""
    flat = np.asarray(points[:, :2], dtype=np.float64)
    right, down = flat[OUTER_EYES[1]] - flat[OUTER_EYES[0]]
    roll = float(np.degrees(np.arctan2(down, right)))
    turned = CropTransform(0.0, 0.0, 1.0, roll)
    upright = turned.to_crop(flat)
    low, high = np.min(upright, axis=0), np.max(upright, axis=0)
    x, y = turned.to_photo((low + high) / 2)
    return CropTransform.around((float(x), float(y)), WIDE * float((high - low).max()), roll, SIZE)
