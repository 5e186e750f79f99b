"""Compute the position and size of crops for which a corpus's average face matches the projected mean face.

    python experiments/calibrate_crops.py PHOTOS --count 500

Prints the constants CROP_SCALE and CROP_SHIFT of mofa3d/data/crop.py, for each source (a folder of PHOTOS) and for all
sources with equal weight, and the remaining distance of the average landmarks from the projected mean face. Landmarks
are given ones (landmarks_68.csv) or, without them, detected.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.cli import program
from mofa3d.data.crop import IMAGE_SIZE, calibrate, crop_transform
from mofa3d.data.detect import detect_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmark_table import find_landmarks
from mofa3d.data.landmarks_478 import to_68
from mofa3d.data.locate import locate
from mofa3d.data.photo import find_photos, read_photo
from mofa3d.errors import InputError
from mofa3d.losses import LANDMARKS_46


@dataclass(frozen=True)
class Config:
    photos: tyro.conf.Positional[Path]
    """A folder with a folder of photographs for each source."""
    count: int = 500
    """Photographs of each source."""
    seed: int = 0


def main(config: Config) -> None:
    decode = Decoder(load_model("makehuman"), Camera(IMAGE_SIZE))
    points = list(LANDMARKS_46)
    target = decode(SemanticCode.zeros(1)).landmarks[0, points].double().numpy()
    constants = []
    for folder in sorted(path for path in config.photos.iterdir() if path.is_dir()):
        faces, landmarks = _found(folder, config)
        if not faces:
            raise InputError(f"no face was found in the photographs of {folder}; give photographs of faces")
        chosen = [every[points] for every in landmarks]
        scale, shift, roll = calibrate(chosen, faces, target, IMAGE_SIZE)
        constants.append((scale, shift))
        now = np.median(
            [crop_transform(face).to_crop(every) for face, every in zip(faces, chosen, strict=True)], axis=0
        )
        distance = np.linalg.norm(now - target, axis=1).mean()
        print(
            f"{folder.name}, {len(faces)} faces: CROP_SCALE {scale:.3f}, CROP_SHIFT {shift:.3f}, roll {roll:.2f}°; "
            f"average face {distance:.2f} px from the mean face now"
        )
    scale, shift = np.mean(constants, axis=0)
    print(f"all: CROP_SCALE {scale:.3f}, CROP_SHIFT {shift:.3f}")


def _found(folder: Path, config: Config) -> tuple[list[FoundFace], list[np.ndarray]]:
    photos = find_photos(folder)
    chosen = random.Random(config.seed).sample(photos, min(config.count, len(photos)))
    names = [path.relative_to(folder).as_posix() for path in chosen]
    given = find_landmarks(folder.resolve(), names)
    faces, landmarks = [], []
    for path, name in zip(tqdm(chosen, desc=folder.name, dynamic_ncols=True), names, strict=True):
        photo = read_photo(path)
        for found in detect_faces(photo)[:1]:
            face, dense, _ = locate(photo, found)
            if dense is not None:
                faces.append(face)
                landmarks.append(given.get(name, to_68(dense.points)).astype(np.float64))
    return faces, landmarks


if __name__ == "__main__":
    program.run(main, Config, __doc__)
