"""What is in one photograph: faces to keep, and faces and photographs that are left out, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mofa3d.data.corpus import prune
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.shards import Face
from mofa3d.data.corpus.split import identity_of
from mofa3d.data.crop import IMAGE_SIZE, crop_face
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.face_landmarker import DenseLandmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmark_table import Points
from mofa3d.data.landmarks_478 import to_68
from mofa3d.data.locate import LocatedFace, locate
from mofa3d.data.photo import Photo, colorfulness, fit
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
        rule: "unreadable", "no face", "doubtful", or one of `mofa3d.data.corpus.prune.Broken`.
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
    found = find(photo, points, config)
    if not found:
        where = "" if points is None else " where the landmarks are"
        yield Removed("no face", f"no face was found{where}", fit(photo, IMAGE_SIZE))
        return
    for number, face in enumerate(found if config.faces == "all" else found[:1]):
        key = item.key if number == 0 else f"{item.key}/{number}"
        identity = identity_in(item) if number == 0 else key  # nobody knows who the others are
        yield _examine_face(photo, key, identity, face, points, config)


def find(photo: Photo, points: Points | None, config: PrepareConfig) -> list[FoundFace]:
    """Faces, the most prominent first; with given points, the one that they are on."""
    faces = detect_faces(photo, config.faces == "all", config.detector)
    if points is None:
        return faces
    on_points = [face for face in faces if holds(face, points)]
    if not on_points:  # a smaller one beside the most prominent one
        on_points = [face for face in detect_faces(photo, True, config.detector) if holds(face, points)]
    return on_points[:1]


def identity_in(item: Item) -> str:
    """Who a photograph shows: by its name, all frames of a video the same, else nobody else."""
    container, _, name = item.key.partition("#")
    if item.frame is not None:
        return container
    known = identity_of(name or container)
    return item.key if known == name else known


def _examine_face(
    photo: Photo, key: str, identity: str, found_face: FoundFace, given: Points | None, config: PrepareConfig
) -> Kept | Removed:
    # Crops of the other detectors lie as those of the paper and of other programs do.
    located = locate(photo, found_face, steady=config.detector == "yunet")
    crop, transform = crop_face(photo, located.face)
    if given is None and located.doubt is not None and located.doubt.refused:  # given points say that it is a face
        return Removed("doubtful", f"what was found {located.doubt.reason}", crop)
    found = find_points(photo, located, given, config)
    inside = None if found is None else transform.to_crop(found.points.astype(np.float64))
    measures = prune.Measures(
        size=located.face.size,
        sharpness=prune.sharpness(crop),
        color=colorfulness(crop),
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
        **({} if located.dense is None else _dense_numbers(located.dense, transform)),
    )
    return Kept(face, crop)


def _numbers(transform: CropTransform) -> dict[str, float]:
    return {
        "left": round(transform.left, 4),
        "top": round(transform.top, 4),
        "scale": round(transform.scale, 8),
        "roll": round(transform.roll, 5),
    }


def _dense_numbers(dense: DenseLandmarks, transform: CropTransform) -> dict[str, list]:
    points = dense.points.astype(np.float64)
    inside = np.column_stack([transform.to_crop(points[:, :2]), points[:, 2] * transform.scale])
    return {"dense": inside.round(1).tolist(), "expression": dense.expression.astype(np.float64).round(3).tolist()}


def find_points(photo: Photo, located: LocatedFace, given: Points | None, config: PrepareConfig) -> Detected | None:
    """Given points, else detected ones, as the settings say."""
    wanted = config.resolved_landmarks()
    if given is not None:
        return Detected(given, np.ones(68), given=True)
    if "face_alignment" in wanted:
        from mofa3d.data import fan_landmarks

        return Detected(*fan_landmarks.detect_landmarks(photo, located.face, config.fan_weights))
    if "dlib" in wanted:
        from mofa3d.data import dlib_landmarks

        return Detected(*dlib_landmarks.detect_landmarks(photo, located.face))
    if "mediapipe" in wanted and located.dense is not None:
        return Detected(to_68(located.dense.points), np.full(68, located.dense.presence))
    return None


def holds(face: FoundFace, points: Points) -> bool:
    """Whether a face has these points: their hull's middle in the inner half of its square, and of its size."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, size = (low + high) / 2, float((high - low).max())
    near = np.abs(middle - face.below(0.1)).max() < 0.3 * face.size
    return bool(near and 0.5 < size / face.size < 1.6)
