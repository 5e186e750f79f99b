"""The networks that find faces and their points; README.md beside it says whose they are.

OpenCV runs them. Files are handed to it as bytes: on Windows it opens no path with letters beyond ASCII.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

YUNET = "face_detection_yunet_2023mar.onnx"
BLAZEFACE = "face_detector.tflite"
FACE_LANDMARKS = "face_landmarks_detector.tflite"
FACE_BLENDSHAPES = "face_blendshapes.tflite"

_of_thread = threading.local()  # networks keep buffers, so every thread needs its own


@cache
def content(name: str) -> UInt8[np.ndarray, "bytes"]:
    """A network's file."""
    return np.frombuffer((Path(__file__).parent / name).read_bytes(), dtype=np.uint8)


def tflite(name: str) -> Any:
    """A TFLite network, one per thread."""
    return kept(name, lambda: cv2.dnn.readNetFromTFLite(content(name)))


def kept(key: Any, make: Callable[[], Any], most: int = 16) -> Any:
    """What `make` gives, made once per thread and key.

    Where there are more than `most`, what was not wanted for longest is dropped: networks are made in some
    milliseconds, and their buffers take up to 20 MB.
    """
    if not hasattr(_of_thread, "made"):
        _of_thread.made = {}
    made = _of_thread.made
    if key not in made:
        if len(made) >= most:
            del made[next(iter(made))]
        made[key] = make()
    made[key] = made.pop(key)  # the last is what was wanted last
    return made[key]
