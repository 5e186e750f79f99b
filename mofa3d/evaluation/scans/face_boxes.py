"""Which face of a photograph is meant: boxes beside it, which are never trusted to be more than numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mofa3d.data.detect import detect_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo
from mofa3d.errors import InputError


def read_box(path: Path) -> FoundFace:
    """A ``.npy`` file of the four numbers left, top, right, bottom, in pixels.

    Raises:
        InputError: it holds anything else, as NoW's files do: they are pickled dictionaries, and opening a pickle runs
            what is in it.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:  # of np.load
        raise InputError(
            f"{path} is not opened ({error}): a pickled file can run any program; boxes are .npy arrays of left, top, "
            "right, bottom"
        ) from None
    if values.shape != (4,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InputError(f"{path} has shape {values.shape} and type {values.dtype}; expected left, top, right, bottom")
    left, top, right, bottom = values.astype(float).tolist()
    if right <= left or bottom <= top:
        raise InputError(f"{path} has the box {left, top, right, bottom}; expected left < right and top < bottom")
    return FoundFace.of_box((left + right) / 2, (top + bottom) / 2, (right - left + bottom - top) / 2, 1.0)


def choose_face(photo: Photo, given: FoundFace | None) -> FoundFace:
    """The detected face that overlaps a given box most, or the most prominent one.

    Boxes of other detectors are framed in other ways, so a crop is always cut around a face of our own detector; only
    where it finds none on the given box, that box takes its place.

    Raises:
        InputError: there is no face.
    """
    found = detect_faces(photo)
    if given is None:
        if not found:
            raise InputError("no face was found; give a photograph with a clear, roughly frontal face")
        return found[0]
    if not any(map(given.overlap, found)):  # a smaller one beside the most prominent one
        found = detect_faces(photo, every=True)
    best = max(found, key=given.overlap, default=given)
    return best if given.overlap(best) > 0 else given
