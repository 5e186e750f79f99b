"""Put a foreign mean face where the conventions want it, by its 68 landmarks.

Published models agree on the axes (+X to the subject's left, +Y up, +Z out of the face) and say their unit, so only the
origin moves: a turn or a scale would hide a file that is not what it should be.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError

# Mean of the points 27 to 67 (nose, eyes, mouth) of the default model: with them there, the face projects to the middle
# of the image and turns about the same axis.
FEATURES_CENTRE = (0.0, 0.0, 47.5)  # mm
FACE_WIDTHS = (80.0, 240.0)  # mm between points 0 and 16 that a face can have, whatever the taste of its makers


def offset_to_model_space(landmarks: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "3"]:
    """What to add to vertices (mm, published axes) to bring them into model space.

    Raises:
        InputError: the landmarks are no face in millimetres with the published axes.
    """
    problem = _problem(landmarks)
    if problem:
        raise InputError(
            f"the mean face does not follow the conventions of its format: {problem}; expected millimetres after "
            f"conversion, +X to the "
            "subject's left, +Y up, +Z out of the face, and landmarks in the order of iBUG"
        )
    return np.array(FEATURES_CENTRE) - landmarks[27:68].mean(axis=0)


def _problem(landmarks: np.ndarray) -> str | None:
    width = float(np.linalg.norm(landmarks[16] - landmarks[0]))
    if not FACE_WIDTHS[0] < width < FACE_WIDTHS[1]:
        return f"it is {width:.3g} wide between the points 0 and 16"
    if landmarks[36, 0] >= landmarks[45, 0]:
        return "its right eye is on its left"
    if landmarks[8, 1] >= landmarks[[19, 24], 1].min():
        return "its chin is above its brows"
    if landmarks[30, 2] <= landmarks[[0, 16], 2].mean():
        return "its nose is behind its ears"
    return None
