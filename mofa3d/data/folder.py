"""Prepare a folder of photographs once: find faces and landmarks, cut calibrated crops, keep both in a cache.

Detections and crops are cached apart, because finding faces takes far longer than cutting them. Detections are written
as they come, so an interrupted preparation goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from mofa3d.data.crop import CROP_SCALE, CROP_SHIFT, IMAGE_SIZE, crop_face
from mofa3d.data.detect import FaceBox, detect_faces
from mofa3d.data.landmarks import Points, find_landmarks
from mofa3d.data.photo import find_photos, read_photo, to_tensor
from mofa3d.data.split import identity_of

DETECTION_VERSION = 1
LandmarkSource = Literal["auto", "given", "detect", "none"]


@dataclass(frozen=True)
class Detection:
    """What was found in one photograph.

    Attributes:
        photo: path relative to the folder, with ``/``.
        stamp: size and modification time, which tell whether the file is still the same.
        box: centre x, y and side of the face's box in pixels, or ``None``.
        landmarks: 68 detected points (pixels) as nested lists, or ``None``.
        failure: why there is no face, or "".
    """

    photo: str
    stamp: str
    box: list[float] | None = None
    landmarks: list[list[float]] | None = None
    failure: str = ""


@dataclass(frozen=True)
class Failure:
    """A photograph that cannot be used, and why."""

    photo: str
    reason: str


class PhotoCorpus(Dataset):
    """Crops of photographs with landmarks.

    Items are ``image`` (3, H, W) in 0 to 1, ``landmarks`` (68, 2) px, ``confidence`` (68,) in 0 to 1 (0: unknown) and
    ``index``.

    Attributes:
        photos: path of each, relative to the folder.
        sources: first folder of each path (the corpus it comes from), or the folder's own name.
        identities: see `mofa3d.data.split.identity_of`.
        given: (K,) bool, landmarks came from a table and not from a detector.
        failures: photographs that were left out.
    """

    def __init__(
        self,
        images: np.ndarray,
        landmarks: np.ndarray,
        given: np.ndarray,
        photos: list[str],
        name: str,
        failures: list[Failure],
    ) -> None:
        self.images, self.given, self.photos, self.failures = images, given, photos, failures
        known = np.isfinite(landmarks).all(axis=-1)
        self.landmarks = torch.from_numpy(np.where(known[..., None], landmarks, 0).astype(np.float32))
        self.confidence = torch.from_numpy(known.astype(np.float32))
        self.sources = [photo.split("/")[0] if "/" in photo else name for photo in photos]
        self.identities = [identity_of(photo) for photo in photos]

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "image": to_tensor(self.images[index]),
            "landmarks": self.landmarks[index],
            "confidence": self.confidence[index],
            "index": torch.tensor(index),
        }


def prepare_folder(
    root: Path, cache: Path, landmarks: LandmarkSource = "auto", workers: int | None = None
) -> PhotoCorpus:
    """Find the faces of every photograph below a folder, cut their crops, and remember both.

    Args:
        root: the folder, searched recursively.
        cache: where detections and crops are kept, in a folder of their own.
        landmarks: ``"given"`` from ``landmarks_68.csv`` tables only, ``"detect"`` from dlib, ``"auto"`` given ones
            where there are, else detected ones if dlib is installed, ``"none"``.
        workers: processes; ``None`` means one per core.

    Raises:
        ValueError: no folder, no photograph, no face in any photograph, or dlib is wanted and missing.
    """
    root = root.expanduser().resolve()
    paths = [path.relative_to(root).as_posix() for path in find_photos(root)]
    given = find_landmarks(root, paths) if landmarks in ("auto", "given") else {}
    with_points = landmarks == "detect" or (landmarks == "auto" and _dlib_is_installed())
    kept = cache / f"corpus-{root.name}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
    kept.mkdir(parents=True, exist_ok=True)
    detections = _detections(root, paths, given, with_points, kept, workers)
    failures = [Failure(photo, detections[photo].failure) for photo in paths if detections[photo].failure]
    list_failures(kept / "failures.csv", failures)
    usable = [photo for photo in paths if not detections[photo].failure]
    if not usable:
        raise ValueError(
            f"no face was found in any of the {len(paths)} photographs of {root} (see {kept / 'failures.csv'}); "
            f"give photographs with one clear, roughly frontal face"
        )
    images, corners = _crops(root, [detections[photo] for photo in usable], kept, workers)
    points = np.full((len(usable), 68, 2), np.nan, dtype=np.float64)
    for i, photo in enumerate(usable):
        found = given.get(photo, detections[photo].landmarks)
        if found is not None and landmarks != "none":
            left, top, scale = corners[i]
            points[i] = (np.asarray(found) - (left, top)) * scale
    is_given = np.array([photo in given for photo in usable])
    return PhotoCorpus(images, points, is_given, usable, root.name, failures)


def _dlib_is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("dlib") is not None and find_spec("face_recognition_models") is not None


def list_failures(path: Path, failures: list[Failure]) -> None:
    """Write which photographs cannot be used, and why, as a CSV table."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:  # names need not be UTF-8
        rows = csv.writer(file)
        rows.writerow(["file", "reason"])
        rows.writerows((failure.photo, failure.reason) for failure in failures)


def _detections(
    root: Path, photos: list[str], given: dict[str, Points], with_points: bool, kept: Path, workers: int | None
) -> dict[str, Detection]:
    """Detections of all photographs, from the cache where the file has not changed."""
    variant = hashlib.sha256(repr((DETECTION_VERSION, with_points)).encode()).hexdigest()[:8]
    path = kept / f"detections-{variant}.jsonl"
    known = {detection.photo: detection for detection in _read_detections(path)}
    tasks = []
    for photo in photos:
        stamp = _stamp(root / photo, given.get(photo))
        if photo not in known or known[photo].stamp != stamp:
            tasks.append((root, photo, stamp, given.get(photo), with_points))
    with open(path, "a", encoding="utf-8") as file:
        if tasks:
            file.write("\n")  # the last line of an interrupted run may be cut off
        for detection in _in_parallel(_detect, tasks, workers, "finding faces"):
            known[detection.photo] = detection
            file.write(json.dumps(asdict(detection)) + "\n")
            file.flush()
    return known


def _read_detections(path: Path) -> Iterator[Detection]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield Detection(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue  # blank, or cut off: its photograph is done again


def _stamp(path: Path, given: Points | None) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""  # a dangling link: reading it will say so
    table = "" if given is None else hashlib.sha256(given.tobytes()).hexdigest()[:8]
    return f"{status.st_size}-{status.st_mtime_ns}-{table}"


def _detect(root: Path, photo: str, stamp: str, given: Points | None, with_points: bool) -> Detection:
    """Find the face (the one that the given points belong to, else the most prominent) and perhaps its landmarks."""
    try:
        pixels = read_photo(root / photo)
    except ValueError as error:
        return Detection(photo, stamp, failure=str(error))
    boxes = detect_faces(pixels)
    if given is not None:
        boxes = [box for box in boxes if _holds(box, given)]
    if not boxes:
        reason = "no face was found" if given is None else "no face was found where the landmarks are"
        return Detection(photo, stamp, failure=reason)
    points = None
    if with_points and given is None:
        from mofa3d.data.dlib_landmarks import detect_landmarks

        points = np.round(detect_landmarks(pixels, boxes[0]).astype(float), 2).tolist()
    return Detection(photo, stamp, [boxes[0].x, boxes[0].y, boxes[0].size], points)


def _holds(box: FaceBox, points: Points) -> bool:
    """Whether a box is that of the face with these points: their hull's middle in its inner half, and of its size."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, size = (low + high) / 2, float((high - low).max())
    near = np.abs(middle - (box.x, box.y + 0.1 * box.size)).max() < 0.3 * box.size
    return bool(near and 0.5 < size / box.size < 1.6)


def _crops(
    root: Path, detections: list[Detection], kept: Path, workers: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Crops (K, H, W, 3) on disk and their corners and scales (K, 3)."""
    settings = [CROP_SCALE, CROP_SHIFT, IMAGE_SIZE, [(d.photo, d.stamp, d.box) for d in detections]]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
    images_path, corners_path = kept / f"crops-{key}.npy", kept / f"corners-{key}.npy"
    if not (images_path.exists() and corners_path.exists()):
        temporary = images_path.with_name(f".{images_path.name}.{os.getpid()}")
        shape = (len(detections), IMAGE_SIZE, IMAGE_SIZE, 3)
        images = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        corners = np.empty((len(detections), 3))
        tasks = [(i, root / d.photo, d.box) for i, d in enumerate(detections)]
        for i, crop, corner in _in_parallel(_crop, tasks, workers, "cutting crops"):
            images[i], corners[i] = crop, corner
        images.flush()
        for old in (*kept.glob("crops-*.npy"), *kept.glob("corners-*.npy")):
            if key not in old.name:
                old.unlink(missing_ok=True)  # of other settings: large, and quick to cut again
        with open(temporary.with_suffix(".corners"), "wb") as file:
            np.save(file, corners)
        os.replace(temporary.with_suffix(".corners"), corners_path)
        os.replace(temporary, images_path)
    return np.load(images_path, mmap_mode="r"), np.load(corners_path)


def _crop(index: int, path: Path, box: list[float]) -> tuple[int, np.ndarray, tuple[float, float, float]]:
    crop, transform = crop_face(read_photo(path), FaceBox(*box, votes=0))
    return index, crop, (transform.left, transform.top, transform.scale)


def _in_parallel(task, arguments: list[tuple], workers: int | None, description: str) -> Iterator:
    """Results of `task(*args)` in no particular order of time but in the order given, with a progress bar."""
    workers = min(workers or os.cpu_count() or 1, len(arguments))
    bar = tqdm(total=len(arguments), desc=description, dynamic_ncols=True, disable=not arguments)
    with bar:
        if workers <= 1 or len(arguments) < 32:  # starting processes takes seconds
            for args in arguments:
                yield task(*args)
                bar.update()
            return
        # Spawned, because forking a process in which PyTorch has started threads can hang.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            for result in pool.map(_call, [(task, args) for args in arguments], chunksize=16):
                yield result
                bar.update()


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _call(task_and_arguments: tuple) -> object:
    task, arguments = task_and_arguments
    return task(*arguments)
