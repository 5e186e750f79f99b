"""Compare detected landmarks with given ones, and check whether they tell open eyes from closed ones.

    python experiments/check_landmarks.py PHOTOS --eyes experiments/eye_states.csv --eye-photos FACES

PHOTOS has a landmarks_68.csv; by default only people that `fit_landmark_map.py` left out count. The dense landmarks,
mapped to the 68, are compared with dlib's, if it is installed, in the same run. Distances are over 46 points, as
percentages of the distance between the outer corners of the eyes. The table of eyes has the columns file, state, with a
path below FACES and open or closed.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data import dlib_landmarks
from mofa3d.data.corpus.examine import holds
from mofa3d.data.corpus.split import held_out, identity_of
from mofa3d.data.detect import detect_faces
from mofa3d.data.face_landmarker import EXPRESSION_NAMES, DenseLandmarks, detect_dense_landmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmark_table import find_landmarks
from mofa3d.data.landmarks_478 import eye_opening, to_68
from mofa3d.data.photo import Photo, find_photos, read_photo
from mofa3d.data.yaw import YAW_BINS, estimate_yaw_of_average
from mofa3d.errors import InputError
from mofa3d.losses import LANDMARKS_46
from mofa3d.numeric_options import MOST, check_ranges

OUTER_EYES = (36, 45)
HELD_OUT = 0.1  # of the people, as the map's fit leaves them out
BLINKS = [EXPRESSION_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """A folder of photographs with given landmarks."""
    every: int = 1
    """Use every n-th photograph."""
    everyone: Flag = False
    """Use all people, also those that the map from 478 to 68 points was fitted to."""
    eyes: Path | None = None
    """A table of open and closed eyes."""
    eye_photos: Path | None = None
    """The folder that its paths start from."""

    def __post_init__(self) -> None:
        check_ranges(self, every=(1, MOST))


def main(config: Config) -> None:
    names = [path.relative_to(config.photos).as_posix() for path in find_photos(config.photos)]
    given = find_landmarks(config.photos.resolve(), names)
    people = [identity_of(name.replace("_t.", ".")) for name in names]  # as ytf names some frames
    left_out = held_out(people, HELD_OUT, seed=0)
    counted = [name for name, out in zip(names, left_out, strict=True) if out or config.everyone]
    chosen = [name for name in counted if name in given][:: config.every]
    if not chosen:
        raise InputError(f"no photograph of {config.photos} has given landmarks; put a landmarks_68.csv beside them")
    _compare(config.photos, {name: given[name] for name in chosen})
    if config.eyes is not None:
        _tell_eyes_apart(config.eyes, config.eye_photos or config.photos)


def _compare(root: Path, given: dict[str, np.ndarray]) -> None:
    methods = {"478 to 68": _dense}
    if dlib_landmarks.is_installed():
        methods["dlib"] = _dlib
    distances: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    trust: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    points, turns = list(LANDMARKS_46), []
    for name, truth in tqdm(given.items(), dynamic_ncols=True):
        try:
            photo = read_photo(root / name)
        except InputError as error:
            print(f"left out: {error}")
            continue
        faces = [face for face in detect_faces(photo) if holds(face, truth)]
        if not faces:
            continue
        turns.append(abs(estimate_yaw_of_average(truth.astype(np.float64))))
        eyes = np.linalg.norm(truth[OUTER_EYES[1]] - truth[OUTER_EYES[0]])
        for method, detect in methods.items():
            start = time.perf_counter()
            found, confidence = detect(photo, faces[0])
            seconds[method].append(time.perf_counter() - start)
            distances[method].append(100 * np.linalg.norm(found - truth, axis=1)[points] / eyes)
            trust[method].append(confidence[points])
    print(f"{len(turns)} of {len(given)} faces found")
    if not turns:
        raise InputError(f"no face was found in any of {len(given)} photographs at its given landmarks; check them")
    turn = np.array(turns)
    for method, values in distances.items():
        far = np.mean(values, axis=1)
        print(f"{method}: {1000 * np.median(seconds[method]):.0f} ms")
        bins = [("all", turn >= 0), *((f"yaw {a:g} to {b:g}°", (turn >= a) & (turn < b)) for a, b in YAW_BINS)]
        for label, inside in bins:
            if inside.any():
                worst = np.percentile(far[inside], 90)
                print(f"  {label} ({inside.sum()}): mean {far[inside].mean():.2f} %, 90th percentile {worst:.2f} %")
        _check_confidence(np.array(trust[method]), np.array(values))


def _check_confidence(confidence: np.ndarray, distance: np.ndarray) -> None:
    """Whether the confidence of points, if they have one of their own, tells how far they are away."""
    if len(distance) < 2 or not np.ptp(confidence, axis=1).any():
        return
    agree = spearmanr(confidence.ravel(), distance.ravel()).statistic
    print(f"  rank correlation of a point's confidence and distance {agree:.2f}")
    low, high = np.quantile(confidence, (0.1, 0.75))
    doubtful, trusted = distance[confidence <= low].mean(), distance[confidence >= high].mean()
    print(f"  least trusted tenth {doubtful:.2f} %, most trusted quarter {trusted:.2f} %")


def _dense(photo: Photo, face: FoundFace) -> tuple[np.ndarray, np.ndarray]:
    dense = detect_dense_landmarks(photo, face)
    return to_68(dense.points), np.full(68, dense.presence)


def _dlib(photo: Photo, face: FoundFace) -> tuple[np.ndarray, np.ndarray]:
    found = dlib_landmarks.detect_landmarks(photo, face)
    return found.points, found.confidence


def _tell_eyes_apart(table: Path, root: Path) -> None:
    with open(table, newline="", encoding="utf-8") as file:
        rows = [(row["file"], row["state"] == "closed") for row in csv.DictReader(file)]
    scores: dict[str, list[float]] = {"eyelid opening": [], "blink score": []}
    closed = []
    for name, is_closed in tqdm(rows, dynamic_ncols=True):
        photo = read_photo(root / name)
        for face in detect_faces(photo)[:1]:
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
