"""How far dense landmarks and dlib's are from given ones, by yaw, and whether open and closed eyes are told apart.

    python experiments/check_dense_landmarks.py PHOTOS --every 8 --eyes eyes.csv --eye-photos FACES

PHOTOS has a landmarks_68.csv; only people that `fit_landmark_map.py` left out count. Distances are over 46 points, as
shares of the distance between the outer corners of the eyes. The table of eyes has the columns file, state, with a path
below FACES and open or closed.
"""

from __future__ import annotations

import csv
import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.data.corpus.examine import holds
from mofa3d.data.corpus.split import held_out, identity_of
from mofa3d.data.detect import FaceBox, detect_faces
from mofa3d.data.face_landmarker import EXPRESSION_NAMES, DenseLandmarks, detect_dense_landmarks
from mofa3d.data.find_faces import find_faces
from mofa3d.data.landmark_table import find_landmarks
from mofa3d.data.landmarks_478 import eye_opening, to_68
from mofa3d.data.photo import Photo, find_photos, read_photo
from mofa3d.data.yaw import YAW_BINS, estimate_yaw_of_average
from mofa3d.errors import InputError
from mofa3d.losses import LANDMARKS_46

OUTER_EYES = (36, 45)
HELD_OUT = 0.1  # of the people, as the map's fit leaves them out
BLINKS = [EXPRESSION_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """A folder of photographs with given landmarks."""
    every: int = 1
    """Take every so many photographs of those people."""
    eyes: Path | None = None
    """A table of open and closed eyes."""
    eye_photos: Path | None = None
    """The folder that its paths start from."""


def main(config: Config) -> None:
    names = [path.relative_to(config.photos).as_posix() for path in find_photos(config.photos)]
    given = find_landmarks(config.photos.resolve(), names)
    people = [identity_of(name.replace("_t.", ".")) for name in names]  # as ytf names some frames
    left_out = [name for name, out in zip(names, held_out(people, HELD_OUT, seed=0), strict=True) if out]
    chosen = [name for name in left_out if name in given][:: config.every]
    if not chosen:
        raise InputError(f"no photograph of {config.photos} has given landmarks; put a landmarks_68.csv beside them")
    _compare(config.photos, {name: given[name] for name in chosen})
    if config.eyes is not None:
        _tell_eyes_apart(config.eyes, config.eye_photos or config.photos)


def _compare(root: Path, given: dict[str, np.ndarray]) -> None:
    methods = {"478 to 68": _dense}
    if importlib.util.find_spec("dlib") is not None:
        methods["dlib"] = _dlib
    distances: dict[str, list[float]] = {method: [] for method in methods}
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    turns = []
    for name, truth in tqdm(given.items(), dynamic_ncols=True):
        photo = read_photo(root / name)
        turns.append(abs(estimate_yaw_of_average(truth.astype(np.float64))))
        eyes = np.linalg.norm(truth[OUTER_EYES[1]] - truth[OUTER_EYES[0]])
        for method, detect in methods.items():
            start = time.perf_counter()
            points = detect(photo, truth)
            seconds[method].append(time.perf_counter() - start)
            far = np.nan if points is None else np.linalg.norm(points - truth, axis=1)[list(LANDMARKS_46)].mean()
            distances[method].append(float(100 * far / eyes))
    turn = np.array(turns)
    found = np.all([np.isfinite(values) for values in distances.values()], axis=0)
    for method, values in distances.items():
        far = np.array(values)
        milliseconds = 1000 * np.median(seconds[method])
        print(f"{method}: {np.isfinite(far).sum()} of {len(far)} faces found, {milliseconds:.0f} ms")
        for label, inside in [("all", found), *((f"yaw {a:g} to {b:g}°", _between(turn, a, b)) for a, b in YAW_BINS)]:
            of_bin = far[found & inside]
            if len(of_bin):
                worst = np.percentile(of_bin, 90)
                print(f"  {label} ({len(of_bin)}): mean {of_bin.mean():.2f} %, 90th percentile {worst:.2f} %")


def _between(turn: np.ndarray, low: float, high: float) -> np.ndarray:
    return (turn >= low) & (turn < high)


def _dense(photo: Photo, truth: np.ndarray) -> np.ndarray | None:
    """Detection included."""
    faces = [face for face in find_faces(photo) if holds(FaceBox(face.x, face.y, face.size, 0), truth)]
    return to_68(detect_dense_landmarks(photo, faces[0]).points) if faces else None


def _dlib(photo: Photo, truth: np.ndarray) -> np.ndarray | None:
    from mofa3d.data.dlib_landmarks import detect_landmarks

    boxes = [box for box in detect_faces(photo) if holds(box, truth)]
    return detect_landmarks(photo, boxes[0]).points if boxes else None


def _tell_eyes_apart(table: Path, root: Path) -> None:
    with open(table, newline="", encoding="utf-8") as file:
        rows = [(row["file"], row["state"] == "closed") for row in csv.DictReader(file)]
    scores: dict[str, list[float]] = {"eyelid opening": [], "blink score": []}
    closed = []
    for name, is_closed in tqdm(rows, dynamic_ncols=True):
        photo = read_photo(root / name)
        for face in find_faces(photo)[:1]:
            dense = detect_dense_landmarks(photo, face)
            closed.append(is_closed)
            for label, score in zip(scores, closedness(dense), strict=True):
                scores[label].append(score)
    truth = np.array(closed)
    print(f"eyes: {truth.sum()} closed, {(~truth).sum()} open, {len(rows) - len(truth)} faces not found")
    for label, values in scores.items():
        print(f"  {label}: AUC {area_under_curve(np.array(values), truth):.4f}")


def closedness(dense: DenseLandmarks) -> tuple[float, float]:
    """Higher for closed eyes: by the lids' gap, and by the expression network."""
    return -float(eye_opening(dense.points).mean()), float(dense.expression[BLINKS].mean())


def area_under_curve(score: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive has a higher score than a negative."""
    ranks = rankdata(score)
    count = positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum()))


if __name__ == "__main__":
    program.run(main, Config, __doc__)
