"""Find the faces of a photograph with one of several detectors, which all give the same kind of square."""

from __future__ import annotations

from typing import Literal

from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo

Detector = Literal["yunet", "haar", "dlib"]


def detect_faces(photo: Photo, every: bool = False, detector: Detector = "yunet") -> list[FoundFace]:
    """Find the faces of a photograph, the most prominent first, none twice. Deterministic.

    Args:
        photo: the photograph.
        every: search for small and turned faces beside a large upright one as well.
        detector: "yunet" finds faces turned by any angle (see `mofa3d.data.find_faces`); "haar" is the cascade of the
            paper and "dlib" dlib's HOG detector: they know upright faces only.

    Raises:
        InputError: dlib is wanted and not installed.
    """
    if detector == "yunet":
        return find_faces(photo, every)
    if detector == "haar":
        from mofa3d.data.haar import find_with_haar

        return find_with_haar(photo, every)
    from mofa3d.data.dlib_landmarks import find_with_dlib

    return find_with_dlib(photo)
