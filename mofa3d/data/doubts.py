"""Is what was found really a face that can be reconstructed, and was it? Reasons to refuse it, or to warn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmarks_478 import to_68
from mofa3d.data.photo import Photo

# Of 26,303 main faces of lfw, utkface and ytf, 37 have a presence below 0.15: faces in profile, and a few that are too
# blurred to be of use, which the detector doubts too.
REFUSED_MISFIT, DOUBTFUL_MISFIT = 0.16, 0.11  # how far the five points are from an average face's, in its sides
DOUBTFUL_SCORE = 0.74
SMALLEST, SMALL = 16.0, 40.0  # pixels of the face's square
REFUSED_OUTSIDE, DOUBTFUL_OUTSIDE = 0.5, 0.35  # share of the square beyond the photograph
REFUSED_PRESENCE, DOUBTFUL_PRESENCE = 0.15, 0.5  # of the landmark network; refused where the score is doubtful too
EYES, INNER = (slice(36, 42), slice(42, 48)), slice(17, 68)  # of the 68 iBUG points
# How far the features of a reconstruction are from where they were detected, in distances between the eyes. Of 2,103
# photographs of lfw, utkface and ytf that were held out, 0.8 % are farther off, heads in profile above all; half are
# within 0.023.
ASTRAY = 0.05


class Doubt(NamedTuple):
    """What is wrong with a face.

    Attributes:
        reason: in words that complete "this face ...".
        refused: whether it is no face at all for our purposes; else a warning is enough.
    """

    reason: str
    refused: bool


def doubt(photo: Photo, face: FoundFace, presence: float | None = None) -> Doubt | None:
    """The worst doubt about a face, if there is any.

    Args:
        photo: that it was found in.
        face: as found.
        presence: what the landmark network said about it, where it was asked.
    """
    height, width = photo.shape[:2]
    outside = 1 - _inside(face.x, face.size, width) * _inside(face.y, face.size, height)
    misfit = face.misfit
    doubts = [
        (f"is {face.size:.0f} pixels large", -face.size, -SMALLEST, -SMALL),
        (f"has its eyes, nose and mouth in odd places ({misfit:.2f})", misfit, REFUSED_MISFIT, DOUBTFUL_MISFIT),
        (f"lies by {100 * outside:.0f} % outside the photograph", outside, REFUSED_OUTSIDE, DOUBTFUL_OUTSIDE),
        (f"is hardly recognisable as one (score {face.score:.2f})", -face.score, 0.0, -DOUBTFUL_SCORE),
    ]
    if presence is not None:
        reason = f"is hardly recognisable to the landmark network ({presence:.2f})"
        refused = REFUSED_PRESENCE if face.score < DOUBTFUL_SCORE else 0.0
        doubts.append((reason, -presence, -refused, -DOUBTFUL_PRESENCE))
    found = [Doubt(reason, value > refused) for reason, value, refused, doubtful in doubts if value > doubtful]
    return min(found, key=lambda one: not one.refused, default=None)


def astray(landmarks: Float[np.ndarray, "68 2"], dense: Float[np.ndarray, "478 dims"]) -> str:
    """Why a reconstruction does not lie on the face in its photograph, in words that complete "this face ...", or "".

    Args:
        landmarks: of the reconstruction, pixels of the photograph.
        dense: as they were detected there.
    """
    off = apart(landmarks, dense)
    where = f"(by {100 * off:.0f} % of the distance between the eyes)"
    return f"lies beside its features in the photograph {where}" if off > ASTRAY else ""


def apart(landmarks: Float[np.ndarray, "68 2"], dense: Float[np.ndarray, "478 dims"]) -> float:
    """How far landmarks are from where they were detected, on average, in distances between the eyes.

    The contour is left out: where it is on the skin, nothing shows.
    """
    detected = to_68(dense).astype(np.float64)
    right, left = (detected[eye].mean(axis=0) for eye in EYES)
    off = np.linalg.norm(landmarks[INNER] - detected[INNER], axis=1).mean()
    return float(off / max(np.linalg.norm(right - left), 1e-9))


def _inside(middle: float, size: float, length: float) -> float:
    """The share of an interval that lies in the photograph."""
    return float(np.clip((min(middle + size / 2, length) - max(middle - size / 2, 0.0)) / size, 0.0, 1.0))
