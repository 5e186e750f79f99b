"""How many faces are found, how many that are none, and in what time: the detector against the Haar cascade.

    python experiments/check_detector.py PHOTOS --count 500 --sheet missed.jpg

PHOTOS holds one folder for each source, with photographs whose main face is known: from a landmarks_68.csv, or because
it is in the middle. A face counts as found where the most prominent find lies on it. Every column but the first is made
from the same photographs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.haar import find_with_haar
from mofa3d.data.landmark_table import find_landmarks
from mofa3d.data.photo import Photo, find_photos, read_photo

TURNS = (30, 60, 90, 180)  # degrees
SMALL = 40  # pixels of a small face
TINY = 24  # pixels of a face in a picture of 4k
WIDTH_4K, HEIGHT_4K = 3840, 2160
ACROSS = 4  # portraits along each side of a sheet
FACELESS = 300
GREY = (128, 128, 128)


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """A folder with a folder of photographs for each source."""
    count: int = 500
    """Photographs of each source."""
    seed: int = 0
    sheet: Path | None = None
    """Write a picture of the faces that were missed."""


class Truth(NamedTuple):
    """Where the main face is, and how large it may be found."""

    centre: np.ndarray
    size: float
    smallest: float = 0.5  # of the size
    largest: float = 1.6

    def found_by(self, face: FoundFace) -> bool:
        near = np.hypot(face.x - self.centre[0], face.y - self.centre[1]) < 0.35 * self.size
        return bool(near and self.smallest < face.size / self.size < self.largest)


def main(config: Config) -> None:
    missed: list[Photo] = []
    sheet: list[Photo] = []
    header = ["source", "upright", *(f"{turn}°" for turn in TURNS), "covered", f"{SMALL} px", "one face twice"]
    print(" | ".join([*header, "Haar upright", "ms", "Haar ms"]))
    for folder in sorted(path for path in config.photos.iterdir() if path.is_dir()):
        photos = find_photos(folder)
        chosen = random.Random(config.seed).sample(photos, min(config.count, len(photos)))
        names = [path.relative_to(folder).as_posix() for path in chosen]
        given = find_landmarks(folder.resolve(), names)
        rows, times = [], []
        for path, name in zip(tqdm(chosen, desc=folder.name, dynamic_ncols=True), names, strict=True):
            photo = read_photo(path)
            row, seconds = _examine(photo, _truth(photo, given.get(name)), missed)
            rows.append(row)
            times.append(seconds)
        sheet += [read_photo(path) for path in chosen[: ACROSS**2]]
        shares = 100 * np.mean(rows, axis=0)
        milliseconds = 1000 * np.median(times, axis=0)
        cells = [f"{share:.1f} %" for share in shares] + [f"{number:.1f}" for number in milliseconds]
        print(" | ".join([folder.name, *cells]))
    random.Random(config.seed).shuffle(sheet)
    print(f"sheet of {ACROSS**2} portraits in 4k: {_faces_of_sheet(sheet[: ACROSS**2])} faces found")
    print(f"a face of {TINY} px in 4k: {_tiny_faces(sheet[:ACROSS])} of {ACROSS} found")
    print(f"false faces in {FACELESS} pictures without one: {_false_faces(sheet, config.seed)}")
    if config.sheet is not None and missed:
        cv2.imwrite(str(config.sheet), _contact_sheet(missed)[..., ::-1])


def _truth(photo: Photo, points: np.ndarray | None) -> Truth:
    if points is not None:
        low, high = points.min(axis=0), points.max(axis=0)
        return Truth((low + high) / 2, float((high - low).max()))
    height, width = photo.shape[:2]
    side = min(height, width)
    middle = Truth(np.array([width / 2, height / 2]), 0.6 * side, 0.3, 2.0)
    # The find in the middle says how large the face is; without one, the photograph does.
    inside = next((face for face in find_faces(photo) if middle.found_by(face)), None)
    return middle if inside is None else Truth(np.array([inside.x, inside.y]), inside.size)


def _examine(photo: Photo, truth: Truth, missed: list[Photo]) -> tuple[list[bool], tuple[float, float]]:
    """Whether the face is found in each column, and seconds of both detectors upright."""

    def found(picture: Photo, where: Truth) -> bool:
        faces = find_faces(picture)
        hit = bool(faces) and where.found_by(faces[0])
        if not hit:
            missed.append(picture)
        return hit

    ours, faces = _timed(find_faces, photo)
    haar, boxes = _timed(find_with_haar, photo)
    row = [any(truth.found_by(face) for face in faces[:1])]
    if not row[0]:
        missed.append(photo)
    row += [found(*_turned(photo, truth, turn)) for turn in TURNS]
    row.append(found(_covered(photo, truth), truth))
    row.append(found(*_shrunk(photo, truth)))
    row.append(len(find_faces(_alone(photo, truth))) > 1)
    row.append(any(truth.found_by(face) for face in boxes[:1]))
    return row, (ours, haar)


def _timed(detect: Callable, photo: Photo) -> tuple[float, list]:
    detect(photo)
    start = time.perf_counter()
    faces = detect(photo)
    return time.perf_counter() - start, faces


def _turned(photo: Photo, truth: Truth, degrees: float) -> tuple[Photo, Truth]:
    height, width = photo.shape[:2]
    side = round(np.hypot(height, width))
    transform = CropTransform.around((width / 2, height / 2), side, degrees, side)
    to_crop = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    to_crop[:, 2] += (side - width) / 2, (side - height) / 2
    picture = cv2.warpAffine(photo, to_crop, (side, side), borderValue=GREY)
    return picture, Truth(transform.to_crop(truth.centre), truth.size)


def _covered(photo: Photo, truth: Truth) -> Photo:
    """Nose and mouth behind a grey box."""
    (x, y), size = truth.centre, truth.size
    picture = photo.copy()
    top, left = round(max(y - 0.05 * size, 0)), round(max(x - 0.28 * size, 0))
    picture[top : round(y + 0.33 * size), left : round(x + 0.28 * size)] = GREY
    return picture


def _shrunk(photo: Photo, truth: Truth, size: int = SMALL, width: int = 640, height: int = 480) -> tuple[Photo, Truth]:
    """The photograph in the middle of a grey picture."""
    scale = size / truth.size
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    picture = np.full((height, width, 3), GREY, dtype=np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    return picture, Truth(truth.centre * scale + (left, top), size)


def _alone(photo: Photo, truth: Truth) -> Photo:
    """Only the face, so that bystanders are no second faces."""
    side = max(2, round(1.1 * truth.size))
    return resample(photo, CropTransform.around(tuple(truth.centre), side, 0.0, side), side)


def _faces_of_sheet(photos: list[Photo]) -> int:
    """How many cells of a sheet have exactly one find in their middle."""
    height, width = HEIGHT_4K // ACROSS, WIDTH_4K // ACROSS
    cells = [_shrunk(photo, Truth(np.zeros(2), max(photo.shape)), height, width, height)[0] for photo in photos]
    sheet = np.vstack([np.hstack(cells[i : i + ACROSS]) for i in range(0, len(cells), ACROSS)])
    cell_of = [(int(face.y // height), int(face.x // width)) for face in find_faces(sheet)]
    return len(set(cell_of))


def _tiny_faces(photos: list[Photo]) -> int:
    found = 0
    for photo in photos:
        picture, truth = _shrunk(photo, _truth(photo, None), TINY, WIDTH_4K, HEIGHT_4K)
        found += any(truth.found_by(face) for face in find_faces(picture))
    return found


def _false_faces(photos: list[Photo], seed: int) -> int:
    """Finds in textures, and in mosaics of the photographs' corners."""
    generator = np.random.default_rng(seed)
    found = 0
    for number in range(FACELESS):
        picture = _texture(generator) if number % 2 else _mosaic(photos, generator)
        found += len(find_faces(picture))
    return found


def _texture(generator: np.random.Generator, side: int = 256) -> Photo:
    """Coloured noise whose spectrum falls by a random power: from grain to clouds and landscapes."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side))) + 1 / side
    noise = np.fft.fft2(generator.normal(size=(3, side, side))) / frequency ** generator.uniform(0, 2.5)
    waves = np.real(np.fft.ifft2(noise)) * [[[1]], [[0.8]], [[0.6]]]
    waves[1:] += generator.uniform(0, 1) * waves[:1]
    return (255 * (np.argsort(np.argsort(waves.reshape(3, -1))) / side**2)).astype(np.uint8).T.reshape(side, side, 3)


def _mosaic(photos: list[Photo], generator: np.random.Generator, block: int = 48, across: int = 5) -> Photo:
    """Corners of photographs, enlarged and turned at random, side by side."""

    def part() -> Photo:
        photo = photos[generator.integers(len(photos))]
        eighth = max(1, min(photo.shape[:2]) // 8)  # no bystander's face fits into it
        corner = np.rot90(photo, generator.integers(4))[:eighth, :eighth]
        return np.rot90(cv2.resize(np.ascontiguousarray(corner), (block, block)), generator.integers(4))

    return np.vstack([np.hstack([part() for _ in range(across)]) for _ in range(across)])


def _contact_sheet(pictures: list[Photo], side: int = 160, across: int = 8) -> Photo:
    """At most a hundred pictures."""
    cells = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pictures[:104]]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % across)
    return np.vstack([np.hstack(cells[i : i + across]) for i in range(0, len(cells), across)])


if __name__ == "__main__":
    program.run(main, Config, __doc__)
