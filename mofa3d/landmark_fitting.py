"""Fit the landmarks of a face model with dlib, which looks at pictures of its faces."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.camera import Camera
from mofa3d.data.augment import MIRRORED_68
from mofa3d.data.detect import detect_faces
from mofa3d.data.dlib_landmarks import detect_landmarks
from mofa3d.data.yaw import average_landmarks
from mofa3d.decoder import Decoder
from mofa3d.models.landmarks import fit_landmarks, with_landmarks
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures import to_bytes
from mofa3d.preview import lit
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

RANDOM_FACES = 16  # on the default model, the mean face alone is 3.2 mm from its own points, with 16 more 2.8 mm


def with_fitted_landmarks(model: MorphableModel, render: Renderer) -> MorphableModel:
    """The same model with landmarks where dlib sees them.

    Args:
        model: in model space; its own landmarks play no part.
        render: a raster backend with a black background.

    Raises:
        ValueError: no face is found, or dlib is not installed.
    """

    def draw(face: MorphableModel, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
        return to_bytes(lit(Decoder(face, camera)(SemanticCode.zeros(1, face.sizes)), render))[0]

    layout = average_landmarks()
    found = fit_landmarks(model, draw, detect_symmetrically, layout=layout, random_faces=RANDOM_FACES)
    return with_landmarks(model, found)


def detect_symmetrically(picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "68 2"] | None:
    """dlib's points of the most prominent face, averaged with those of the mirror image; ``None`` without a face."""
    plain, mirrored = _detect(picture), _detect(np.ascontiguousarray(picture[:, ::-1]))
    if plain is None or mirrored is None:
        return plain
    back = mirrored[list(MIRRORED_68)] * [-1.0, 1.0] + [picture.shape[1], 0.0]
    return (plain + back) / 2


def _detect(picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "68 2"] | None:
    boxes = detect_faces(picture)
    return detect_landmarks(picture, boxes[0]).points.astype(np.float64) if boxes else None
