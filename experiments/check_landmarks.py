"""Compare detected landmarks with given ones, and check whether their confidence predicts the error.

    python experiments/check_landmarks.py PHOTOS --every 8     # PHOTOS with a landmarks_68.csv

Distances are over 46 points, as fractions of the distance between the outer corners of the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.data.corpus.examine import holds
from mofa3d.data.detect import detect_faces
from mofa3d.data.dlib_landmarks import detect_landmarks
from mofa3d.data.landmark_table import find_landmarks
from mofa3d.data.photo import find_photos, read_photo
from mofa3d.errors import InputError
from mofa3d.losses import LANDMARKS_46
from mofa3d.numeric_options import MOST, check_ranges

OUTER_EYES = (36, 45)
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # of the points, from the least to the most trusted


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """A folder of photographs with given landmarks."""
    every: int = 1
    """Use every n-th photograph."""

    def __post_init__(self) -> None:
        check_ranges(self, every=(1, MOST))


def main(config: Config) -> None:
    names = [path.relative_to(config.photos).as_posix() for path in find_photos(config.photos)]
    given = find_landmarks(config.photos.resolve(), names)
    if not given:
        raise InputError(f"no photograph of {config.photos} has given landmarks; put a landmarks_68.csv beside them")
    points, chosen = list(LANDMARKS_46), sorted(given)[:: config.every]
    distances, confidences = [], []
    for name in tqdm(chosen, dynamic_ncols=True):
        try:
            photo, truth = read_photo(config.photos / name), given[name]
        except InputError as error:
            print(f"left out: {error}")
            continue
        boxes = [box for box in detect_faces(photo) if holds(box, truth)]
        if boxes:
            found = detect_landmarks(photo, boxes[0])
            eyes = np.linalg.norm(truth[OUTER_EYES[1]] - truth[OUTER_EYES[0]])
            distances.append(100 * np.linalg.norm(found.points - truth, axis=1)[points] / eyes)
            confidences.append(found.confidence[points])
    if not distances:
        raise InputError(f"no face was found in any of {len(chosen)} photographs at its given landmarks; check them")
    distance, confidence = np.array(distances), np.array(confidences)
    of_faces = distance.mean(axis=1)
    print(f"{len(distance)} of {len(chosen)} faces found")
    print(f"distance: mean {of_faces.mean():.2f} %, 90th percentile of faces {np.percentile(of_faces, 90):.2f} %")
    points_agree = spearmanr(confidence.ravel(), distance.ravel()).statistic
    faces_agree = spearmanr(confidence.mean(axis=1), of_faces).statistic
    print(f"rank correlation of confidence and distance: {points_agree:.2f} of points, {faces_agree:.2f} of faces")
    for low, high in pairwise(np.quantile(confidence, SHARES)):
        inside = (confidence >= low) & (confidence <= high)
        print(f"confidence {low:.2f} to {high:.2f}: distance {distance[inside].mean():.2f} %")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
