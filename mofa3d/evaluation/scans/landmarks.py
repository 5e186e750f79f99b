"""The seven points of a scan that lay a reconstruction over it, and the files that hold them.

The points and their order are those of the NoW challenge: outer and inner corner of the right eye, inner and outer
corner of the left eye, base of the nose, right and left corner of the mouth (right and left are the person's own).

Reference: Sanyal et al. 2019, "Learning to Regress 3D Face Shape and Expression from an Image without 3D Supervision".
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError

NAMES = (
    "right_eye_outer", "right_eye_inner", "left_eye_inner", "left_eye_outer", "nose_base", "mouth_right", "mouth_left",
)  # fmt: skip
IBUG = (36, 39, 42, 45, 33, 48, 54)  # the same points among the 68
LEAST = 3  # points that fix an alignment
FORMS = (
    f"expected an object from names to [x, y, z] (.json), or a line `x y z` for each (.txt) or MeshLab's picked points "
    f"(.pp) in the order {', '.join(NAMES)}"
)

SevenPoints = Float[np.ndarray, "7 3"]


def read_scan_landmarks(path: Path) -> SevenPoints:
    """The points in the file's own unit; NaN where one is not given, which only ``.json`` allows.

    Raises:
        InputError: the file cannot be read, is malformed, or gives fewer than three points.
    """
    readers = {".json": _read_json, ".txt": _read_lines, ".pp": _read_picked}
    try:
        points = readers[path.suffix.lower()](path.read_text(encoding="utf-8"))
    except KeyError as error:
        raise InputError(f"{path} contains no landmarks of a scan ({error} is unknown); {FORMS}") from None
    except (OSError, TypeError, ValueError, ElementTree.ParseError) as error:  # of float() and the parsers
        raise InputError(f"{path} contains no landmarks of a scan ({error}); {FORMS}") from None
    known = int(np.isfinite(points).all(axis=1).sum())
    if known < LEAST:
        raise InputError(f"{path} gives {known} of the seven landmarks, at least {LEAST} are needed; {FORMS}")
    return points


def _read_json(text: str) -> SevenPoints:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise InputError("it is not a JSON object")
    points = np.full((len(NAMES), 3), np.nan)
    rows = {name: row for row, name in enumerate(NAMES)}
    for name, point in content.items():
        points[rows[name]] = _point(point)
    return points


def _read_lines(text: str) -> SevenPoints:
    return _all_seven([_point(line.split()) for line in text.splitlines() if line.strip()])


def _read_picked(text: str) -> SevenPoints:
    """By position, whatever the points are called: NoW's own evaluation reads them so."""
    points = ElementTree.fromstring(text).iter("point")
    return _all_seven([_point([point.get(axis) for axis in "xyz"]) for point in points])


def _all_seven(points: list[Float[np.ndarray, "3"]]) -> SevenPoints:
    if len(points) != len(NAMES):
        raise InputError(f"it has {len(points)} points")
    return np.stack(points)


def _point(values) -> Float[np.ndarray, "3"]:
    point = np.array([float(value) for value in values])
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(f"a point is {values}")
    return point
