"""What is in one photograph: faces to keep, and faces and photographs that are left out, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mofa3d.data.corpus import prune
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.shards import Face
from mofa3d.data.corpus.split import identity_of
from mofa3d.data.crop import IMAGE_SIZE, CropTransform, crop_face
from mofa3d.data.detect import FaceBox, detect_faces
from mofa3d.data.landmark_table import Points
from mofa3d.data.photo import Photo, fit
from mofa3d.data.sources import Item, Reader
from mofa3d.data.yaw import estimate_yaw_of_average
from mofa3d.errors import InputError


@dataclass(frozen=True)
class Kept:
    """A face for the corpus, with its crop."""

    face: Face
    crop: Photo


@dataclass(frozen=True)
class Removed:
    """A face that broke a rule, or a photograph that has none.

    Attributes:
        rule: "unreadable", "no face", or one of `mofa3d.data.corpus.prune.Broken`.
        reason: why, in words.
        crop: what it looks like, if anything.
    """

    rule: str
    reason: str
    crop: Photo | None = None


@dataclass(frozen=True)
class Detected:
    """Points of a face in pixels of its photograph.

    Attributes:
        points: (68, 2).
        confidence: (68,) in 0 to 1.
        agreement: overlap of the detectors' boxes, or ``None``.
        given: from a table.
    """

    points: np.ndarray
    confidence: np.ndarray
    agreement: float | None = None
    given: bool = False


def examine(reader: Reader, item: Item, points: Points | None, config: PrepareConfig) -> Iterator[Kept | Removed]:
    """Faces of a photograph, the most prominent first.

    Args:
        reader: reads it.
        item: the photograph.
        points: given landmarks, which also say which face counts.
        config: how to detect and what to keep.
    """
    try:
        photo = reader.read(item)
    except InputError as error:
        yield Removed("unreadable", str(error))
        return
    boxes = find_boxes(photo, config.detector)
    if points is not None:
        boxes = [box for box in boxes if holds(box, points)][:1]
    if not boxes:
        where = "" if points is None else " where the landmarks are"
        yield Removed("no face", f"no face was found{where}", fit(photo, IMAGE_SIZE))
        return
    for number, box in enumerate(boxes if config.faces == "all" else boxes[:1]):
        key = item.key if number == 0 else f"{item.key}/{number}"
        identity = identity_in(item) if number == 0 else key  # nobody knows who the others are
        yield _face(photo, key, identity, box, find_points(photo, box, points, config), config)


def identity_in(item: Item) -> str:
    """Who a photograph shows: by its name, all frames of a video the same, else nobody else."""
    container, _, name = item.key.partition("#")
    if item.frame is not None:
        return container
    known = identity_of(name or container)
    return item.key if known == name else known


def _face(
    photo: Photo, key: str, identity: str, box: FaceBox, found: Detected | None, config: PrepareConfig
) -> Kept | Removed:
    crop, transform = crop_face(photo, box)
    inside = None if found is None else transform.to_crop(found.points.astype(np.float64))
    measures = prune.Measures(
        size=box.size,
        sharpness=prune.sharpness(crop),
        color=prune.colorfulness(crop),
        turn=None if inside is None else estimate_yaw_of_average(inside),
        agreement=None if found is None else found.agreement,
    )
    broken = prune.broken_rule(measures, config.limits)
    if broken:
        return Removed(broken.rule, broken.reason, crop)
    face = Face(
        key=key,
        identity=identity,
        **_numbers(transform),
        landmarks=None if inside is None else inside.round(2).tolist(),
        confidence=None if found is None else found.confidence.round(3).tolist(),
        given=found is not None and found.given,
        yaw=None if measures.turn is None else round(measures.turn, 1),
        hash=prune.perceptual_hash(crop),
    )
    return Kept(face, crop)


def _numbers(transform: CropTransform) -> dict[str, float]:
    return {"left": round(transform.left, 4), "top": round(transform.top, 4), "scale": round(transform.scale, 8)}


def find_boxes(photo: Photo, detector: str) -> list[FaceBox]:
    """Faces, the most prominent first; every detector's boxes are where the Haar cascade would put them."""
    if detector == "haar":
        return detect_faces(photo)
    from mofa3d.data.dlib_landmarks import detect_boxes

    return detect_boxes(photo)


def find_points(photo: Photo, box: FaceBox, given: Points | None, config: PrepareConfig) -> Detected | None:
    """Given points, else detected ones, as the settings say."""
    wanted = config.resolved_landmarks()
    if given is not None:
        return Detected(given, np.ones(68), given=True)
    if "face_alignment" in wanted:
        from mofa3d.data import fan_landmarks

        return Detected(*fan_landmarks.detect_landmarks(photo, box, config.fan_weights))
    if "dlib" in wanted:
        from mofa3d.data import dlib_landmarks

        return Detected(*dlib_landmarks.detect_landmarks(photo, box))
    return None


def holds(box: FaceBox, points: Points) -> bool:
    """Whether a box is that of the face with these points: their hull's middle in its inner half, and of its size."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, size = (low + high) / 2, float((high - low).max())
    near = np.abs(middle - (box.x, box.y + 0.1 * box.size)).max() < 0.3 * box.size
    return bool(near and 0.5 < size / box.size < 1.6)
