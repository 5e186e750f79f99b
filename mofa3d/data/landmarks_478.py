"""The 68 iBUG points of a face from the 478 points of MediaPipe's face mesh, and how far its eyes are open.

Each of the 68 is a weighted sum of a few points of the mesh near it, with weights that add up to 1, so that the map
commutes with every shift, scale and roll. The weights were fitted to given points of video frames
(`experiments/fit_landmark_map.py`); the two halves of the face mirror each other. The contour 0 to 16 follows the
silhouette, as annotators draw it, and not the skin: its weights change with the head's turn, linearly in `turn_of`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.data.found_face import FoundFace

MAP_FILE = "landmark_map.json"
CONTOUR = range(17)
BESIDE_EARS, TIP_OF_NOSE = (234, 454), 4

MOUTH_CORNERS = (61, 291)

# Corners of each eye, and pairs of points on its upper and lower lid: of the subject's right eye, then the left.
EYE_CORNERS = ((33, 133), (263, 362))
LID_PAIRS = (((160, 144), (159, 145), (158, 153)), ((387, 373), (386, 374), (385, 380)))


def to_68(dense: Float[np.ndarray, "478 dims"]) -> Float[np.ndarray, "68 2"]:
    """The iBUG points, in the units of the dense ones; their depth is not used."""
    fixed, turning = landmark_map()
    points = np.asarray(dense[:, :2], dtype=np.float64)
    return ((fixed + turn_of(points) * turning) @ points).astype(np.float32)


def turn_of(dense: Float[np.ndarray, "*rest 478 dims"]) -> Float[np.ndarray, "*rest"] | float:
    """How far the head turns to the right of the picture: where the tip of the nose lies between the ears, -1 to 1.

    It is 0 for a frontal face, and about the sine of the yaw; whatever lies beyond 1 is cut.
    """
    points = np.asarray(dense[..., :2], dtype=np.float64)
    right, left = points[..., BESIDE_EARS[0], :], points[..., BESIDE_EARS[1], :]
    across = left - right
    along = ((points[..., TIP_OF_NOSE, :] - (right + left) / 2) * across).sum(axis=-1)
    return np.clip(2 * along / np.maximum(np.square(across).sum(axis=-1), 1e-12), -1.0, 1.0)


def steadied(face: FoundFace, dense: Float[np.ndarray, "478 dims"]) -> FoundFace:
    """The face with its five points, and so its square and roll, from the dense ones, which jitter much less."""
    points = np.asarray(dense[:, :2], dtype=np.float64)
    five = [points[list(corners)].mean(axis=0) for corners in EYE_CORNERS]
    five += [points[number] for number in (TIP_OF_NOSE, *MOUTH_CORNERS)]
    return FoundFace.of_points(np.array(five), face.score)


def mirrored_mesh(average: Float[np.ndarray, "478 2"]) -> list[int]:
    """Which point every point becomes in the mirror image, by an average face that looks ahead."""
    middle = average[:, 0].mean()
    flipped = average * [-1, 1] + [2 * middle, 0]
    distance = np.linalg.norm(average[:, None] - flipped, axis=-1)
    return [int(number) for number in distance.argmin(axis=0)]


@cache
def landmark_map() -> tuple[Float[np.ndarray, "68 478"], Float[np.ndarray, "68 478"]]:
    """Weights, and what is added to them for each unit of `turn_of`."""
    rows = json.loads(Path(__file__).with_name(MAP_FILE).read_text(encoding="utf-8"))["points"]
    fixed, turning = np.zeros((68, 478)), np.zeros((68, 478))
    for number, row in enumerate(rows):
        fixed[number, row["mesh"]] = row["weights"]
        turning[number, row["mesh"]] = row.get("turning", 0.0)
    return fixed, turning


def eye_opening(dense: Float[np.ndarray, "478 dims"]) -> Float[np.ndarray, "2"]:
    """The gap between the lids over the width of each eye: the subject's right eye, then the left.

    Open eyes have about 0.2 to 0.4, closed ones less than 0.1; the lids never quite meet in the mesh.
    """
    points = np.asarray(dense[:, :2], dtype=np.float64)
    openings = []
    for corners, pairs in zip(EYE_CORNERS, LID_PAIRS, strict=True):
        gaps = [np.linalg.norm(points[upper] - points[lower]) for upper, lower in pairs]
        openings.append(np.mean(gaps) / max(np.linalg.norm(points[corners[0]] - points[corners[1]]), 1e-9))
    return np.array(openings)
