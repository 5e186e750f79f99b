"""Where exactly a found face is: its dense landmarks steady the square around it, and tell whether it is a face."""

from __future__ import annotations

from typing import NamedTuple

from mofa3d.data.doubts import Doubt, doubt
from mofa3d.data.face_landmarker import PRESENT, DenseLandmarks, detect_dense_landmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmarks_478 import steadied
from mofa3d.data.photo import Photo


class LocatedFace(NamedTuple):
    """A face that was looked at closely.

    Attributes:
        face: with the square and the five points of the dense landmarks, or as found where there are none.
        dense: the landmarks, or ``None`` where the network doubts that it saw a face.
        doubt: what is wrong with it, if anything is.
    """

    face: FoundFace
    dense: DenseLandmarks | None
    doubt: Doubt | None


def locate(photo: Photo, face: FoundFace, steady: bool = True) -> LocatedFace:
    """Detect the dense landmarks of a found face.

    Args:
        photo: that it was found in.
        face: as found.
        steady: whether its square follows the landmarks; else it stays as the detector gave it.
    """
    dense = detect_dense_landmarks(photo, face)
    doubtful = doubt(photo, face, dense.presence)
    if dense.presence < PRESENT:
        return LocatedFace(face, None, doubtful)
    return LocatedFace(steadied(face, dense.points) if steady else face, dense, doubtful)
