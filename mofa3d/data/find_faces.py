"""Find every face of a photograph, however it is turned: YuNet proposes, BlazeFace and a second look of YuNet decide.

YuNet searches the photograph at growing resolution, and where it finds nothing, turned by quarters too. Every place it
proposes is looked at closer: BlazeFace says whether and how the face is turned, and YuNet, on the face turned upright,
gives the five points. What one of the three does not believe is no face, unless YuNet was very sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from mofa3d.data import blazeface, yunet
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.found_face import FoundFace, distinct
from mofa3d.data.photo import Photo

FIRST_SIDE, LEAST_SIDE = 192, 160  # longer side in pixels at which the search starts; smaller photographs are enlarged
LARGE_ENOUGH = 60  # pixels at which the largest face must be seen for the search to end
TURNED_SIDE = 1280  # longer side up to which turned faces are searched where there is no upright one
TILE, MARGIN = 640, 96  # pixels; larger pictures are searched in tiles that overlap by the margin

PROPOSED = 0.3  # YuNet's score
CLEAR = 0.85  # score of a face from which no other direction is tried
CLEAR_ROLL = 50.0  # degrees; BlazeFace is unsure about more
FACE = 0.65  # score of a face; below, half of the finds are parts of faces and wrong
SURE = 0.8  # score of the best face below which turned photographs are searched too
SMALLEST = 8.0  # pixels of a face in the photograph; networks see less in anything
LOOKED_AT, CONFIRMED = 0.5, 0.5  # least scores of BlazeFace, and of YuNet on the upright face
ALONE = 0.85  # YuNet's score from which it needs no second opinion
NEARLY_UPRIGHT = 20.0  # degrees; up to them, the points that YuNet proposes are as good as those of the close-up
AGREED_ROLL = 4.5  # degrees by which both networks may differ about a clear face that needs no close-up
BETTER = 0.05  # score by which they must be better to count
WIDE = 2.0  # side of what is looked at, over the face's
CLOSE_UP = 128  # pixels at which YuNet sees the upright face


class Place(NamedTuple):
    """Where a face may be, in pixels of the photograph."""

    centre: Float[np.ndarray, "2"]
    size: float
    roll: float
    points: Float[np.ndarray, "5 2"] | None = None  # and YuNet's score, if it saw it at this roll
    sure: float = 0.0
    pixels: float = 0.0  # how large YuNet saw it


def find_faces(photo: Photo, every: bool = False) -> list[FoundFace]:
    """Find the faces of a photograph, the most prominent first: large, central and sure. Deterministic.

    Faces from 24 pixels to the whole photograph are found. The search stops at the resolution at which the largest one
    is well seen, so that faces in the background of a portrait cost no time.

    Args:
        photo: the photograph.
        every: search at all resolutions and rolls, for the smallest faces behind large ones too, and for those that are
            turned beside upright ones.
    """
    height, width = photo.shape[:2]
    faces: list[FoundFace] = []
    for picture, scale in _resolutions(photo):
        faces = distinct([*faces, *_look_closer(photo, _places(picture, scale, 0), faces)])
        unsure = every or not any(face.score >= SURE for face in faces)
        if unsure and max(picture.shape[:2]) <= TURNED_SIDE:
            for quarters in (1, 3, 2):
                faces = distinct([*faces, *_look_closer(photo, _places(picture, scale, quarters), faces)])
        largest = max((face.size for face in faces if face.score >= FACE), default=0.0)
        if not every and largest * scale >= LARGE_ENOUGH:
            break
    inside = [face for face in faces if face.score >= FACE and 0 <= face.x <= width and 0 <= face.y <= height]
    return sorted(inside, key=lambda face: -_prominence(face, width, height))


def _prominence(face: FoundFace, width: int, height: int) -> float:
    off_centre = np.hypot(face.x / width - 0.5, face.y / height - 0.5)
    return face.score * face.size * (1 - off_centre)


def _resolutions(photo: Photo) -> Iterator[tuple[Photo, float]]:
    """The photograph at growing size up to its own, and the factor by which it was scaled."""
    longer = max(photo.shape[:2])
    side = min(max(longer, LEAST_SIDE), FIRST_SIDE)
    while True:
        scale = side / longer
        size = (max(1, round(scale * photo.shape[1])), max(1, round(scale * photo.shape[0])))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        yield photo if side == longer else cv2.resize(photo, size, interpolation=way), scale
        if side >= longer:
            return
        side = min(2 * side, longer)


def _places(picture: Photo, scale: float, quarters: int) -> Iterator[Place]:
    """What YuNet proposes in a picture that was turned counterclockwise, in the photograph's pixels."""
    height, width = picture.shape[:2]
    turned = np.ascontiguousarray(np.rot90(picture, quarters))
    for x, y, tile in _tiles(turned):
        boxes = yunet.find(tile, PROPOSED)
        for centre, size, points, sure in zip(*boxes, strict=True):
            seen = np.vstack([centre, points]) + np.array([x, y])
            right, down = seen.T
            back = {
                0: (right, down),
                1: (width - down, right),
                2: (width - right, height - down),
                3: (down, height - right),
            }
            middle, *five = np.stack(back[quarters], axis=-1) / scale
            yield Place(middle, float(size) / scale, 90.0 * quarters, np.array(five), float(sure), float(size))


def _tiles(picture: Photo) -> Iterator[tuple[int, int, Photo]]:
    """Parts that the network's memory holds, with their corners."""
    height, width = picture.shape[:2]
    for y, down in _parts(height):
        for x, right in _parts(width):
            yield x, y, picture[y : y + down, x : x + right]


def _parts(length: int) -> list[tuple[int, int]]:
    """Starts and lengths of the fewest equal parts that overlap by the margin or a little more."""
    if length <= TILE:
        return [(0, length)]
    count = math.ceil((length - MARGIN) / (TILE - MARGIN))
    part = math.ceil((length + (count - 1) * MARGIN) / count)
    return [(min(number * (part - MARGIN), length - part), part) for number in range(count)]


def _look_closer(photo: Photo, places: Iterable[Place], known: list[FoundFace]) -> list[FoundFace]:
    """The faces among the places, without those that are known."""
    found: list[FoundFace] = []
    for place in places:
        if place.size < SMALLEST:
            continue
        x, y = map(float, place.centre)
        rough = FoundFace(x, y, place.size, 0.0, 0.0, ())
        if not any(rough.is_same(face) for face in (*known, *found)):
            face = confirm(photo, place)
            if face is not None:
                found.append(face)
    return found


def confirm(photo: Photo, place: Place) -> FoundFace | None:
    """The face at a place, with its roll and five points, or ``None`` if there is none."""
    face, roll = _face_seen(photo, place)
    if face is not None and face.score >= CLEAR and abs(roll) <= CLEAR_ROLL:
        return face
    # A face upside down looks a little like an upright one.
    others = [_face_seen(photo, Place(place.centre, place.size, place.roll + turn))[0] for turn in (90, -90, 180)]
    return max((one for one in (face, *others) if one is not None), key=lambda one: one.score, default=None)


def _face_seen(photo: Photo, place: Place) -> tuple[FoundFace | None, float]:
    """The face that is about as turned as the place says, and its roll against that."""
    score, upright, roll = _look(photo, place)
    if score < LOOKED_AT or upright.size < SMALLEST:
        # BlazeFace does not know masks with glasses.
        if place.points is None or place.sure < ALONE:
            return None, roll
        return FoundFace.of_points(place.points, float(np.sqrt(LOOKED_AT * place.sure))), roll
    first = float(np.sqrt(score * place.sure))
    seen = None
    if place.points is not None and abs(roll) < NEARLY_UPRIGHT:
        seen = FoundFace.of_points(place.points, first)
        agreed = abs(seen.roll - upright.roll) < AGREED_ROLL
        if first >= CLEAR and agreed and place.pixels >= CLOSE_UP / WIDE:
            return seen, roll  # the close-up shows it no larger, and would say the same
    face = _stand_upright(photo, upright, score)
    # Half-hidden faces are surer in their surroundings than in the close-up.
    return (seen if seen is not None and first > (0 if face is None else face.score + BETTER) else face), roll


def _stand_upright(photo: Photo, place: Place, score: float) -> FoundFace | None:
    """What YuNet sees in a face that BlazeFace believes with this score, turned upright."""
    region = CropTransform.around(tuple(place.centre), WIDE * place.size, place.roll, CLOSE_UP)
    boxes = yunet.find(resample(photo, region, CLOSE_UP), CONFIRMED)
    near = np.abs(boxes.centres - CLOSE_UP / 2).max(axis=1) < CLOSE_UP / 4
    if not near.any():
        return None
    best = int((boxes.scores * near).argmax())
    return FoundFace.of_points(
        np.asarray(region.to_photo(boxes.points[best])), float(np.sqrt(score * boxes.scores[best]))
    )


def _look(photo: Photo, place: Place) -> tuple[float, Place, float]:
    """BlazeFace's score, where it sees the face, and its roll against what was expected."""
    region = CropTransform.around(tuple(place.centre), WIDE * place.size, place.roll, blazeface.SIZE)
    seen = blazeface.look(resample(photo, region, blazeface.SIZE))
    upright = Place(np.asarray(region.to_photo(seen.centre)), seen.size / region.scale, place.roll + seen.roll)
    return seen.score, upright, seen.roll
