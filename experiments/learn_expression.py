"""Learn how often faces in photographs show each of ARKit's 52 units, and which of them together.

    python experiments/learn_expression.py FOLDER FOLDER … --out mofa3d/models/makehuman/scores.json --force

Takes the most prominent face of each of up to --each photographs of every folder, chosen at random, and its scores by
MediaPipe's network. A score is 0 at rest: what a tenth of the photographs fall short of is subtracted, because the
network sees some squint and some lowered brows in every face. The faces farthest from all others are left out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.face_landmarker import EXPRESSION_NAMES, PRESENT, detect_dense_landmarks
from mofa3d.data.find_faces import find_faces
from mofa3d.data.photo import find_photos, read_photo
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing
from mofa3d.models.makehuman.scores import Scores, save_scores
from mofa3d.numeric_options import check_ranges

NEUTRAL = "neutral"
AT_REST = 0.1  # share of the photographs whose score is at rest
OUTLIERS = 0.02  # share of the faces that is left out
ROUNDS = 3  # of leaving them out
LEAST_SPREAD = 0.02  # of a score, when distances are measured: below it scores are noise
GAZE = (
    ("eyeLookUpLeft", "eyeLookUpRight"), ("eyeLookDownLeft", "eyeLookDownRight"),
    ("eyeLookInLeft", "eyeLookOutRight"), ("eyeLookOutLeft", "eyeLookInRight"),
)  # fmt: skip
FEWEST = 200  # faces


@dataclass(frozen=True)
class Config:
    folders: Positional[tuple[Path, ...]]
    """Folders of photographs."""
    out: Path
    """The JSON file to write."""
    each: int = 2000
    """Number of photographs of each folder."""
    cache: Path | None = None
    """A file (.npz) that keeps the scores, so that they need not be found again."""
    seed: int = 0
    force: Flag = False
    """Replace the file if it is there."""

    def __post_init__(self) -> None:
        check_ranges(self, each=(1, 1_000_000))


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    scores = cached_scores(config)
    if len(scores) < FEWEST:
        raise InputError(f"{len(scores)} faces were found; give photographs of at least {FEWEST}")
    statistics = learn(scores, "+".join(folder.name for folder in config.folders))
    save_scores(statistics, config.out)
    spread = np.sqrt(np.diag(statistics.covariance))
    for name, mean, deviation in zip(statistics.names, statistics.mean, spread, strict=True):
        print(f"{name:<20} {mean:.3f} ± {deviation:.3f}")
    print(f"{statistics.photographs} faces: {config.out}")


def cached_scores(config: Config) -> Float[np.ndarray, "F 52"]:
    """Of the cache, or of the photographs."""
    if config.cache is not None and config.cache.exists():
        with np.load(config.cache) as found:
            return found["scores"]
    scores = np.concatenate([scores_of(folder, config) for folder in config.folders])
    if config.cache is not None:
        np.savez(config.cache, scores=scores)
    return scores


def scores_of(folder: Path, config: Config) -> Float[np.ndarray, "F 52"]:
    """Scores of the most prominent faces; a photograph that cannot be read, or shows none, is left out."""
    paths = sorted(find_photos(folder))
    random.Random(config.seed).shuffle(paths)
    found = []
    for path in tqdm(paths[: config.each], desc=folder.name, dynamic_ncols=True):
        try:
            photo = read_photo(path)
            faces = find_faces(photo)
        except (InputError, cv2.error) as error:
            tqdm.write(f"{path}: {error}")
            continue
        dense = detect_dense_landmarks(photo, faces[0]) if faces else None
        if dense is not None and dense.presence >= PRESENT:
            found.append(dense.expression)
    return np.array(found, dtype=np.float64).reshape(-1, len(EXPRESSION_NAMES))


def learn(scores: Float[np.ndarray, "F 52"], source: str) -> Scores:
    """Mean and covariance of the strengths of the units, both sides of the face alike."""
    wanted = [number for number, name in enumerate(EXPRESSION_NAMES) if name != NEUTRAL]
    names = [EXPRESSION_NAMES[number] for number in wanted]
    strengths = scores[:, wanted].astype(np.float64)
    strengths = conjugate(np.maximum(strengths - np.quantile(strengths, AT_REST, axis=0), 0), names)
    kept = strengths[~outliers(strengths)]
    kept = np.concatenate([kept, kept[:, [names.index(mirrored(name)) for name in names]]])
    return Scores(tuple(names), kept.mean(axis=0), np.cov(kept.T, bias=True), len(kept) // 2, source)


def conjugate(strengths: Float[np.ndarray, "F K"], names: list[str]) -> Float[np.ndarray, "F K"]:
    """Both eyes look the same way; the network sees each for itself, and squints where it errs."""
    result = strengths.copy()
    for pair in GAZE:
        both = [names.index(name) for name in pair]
        result[:, both] = strengths[:, both].mean(axis=1, keepdims=True)
    return result


def outliers(strengths: Float[np.ndarray, "F K"]) -> Bool[np.ndarray, "F"]:
    """The faces that are farthest (Mahalanobis) from the others."""
    out = np.zeros(len(strengths), dtype=bool)
    for _ in range(ROUNDS):
        inside = strengths[~out]
        covariance = np.cov(inside.T) + LEAST_SPREAD**2 * np.eye(strengths.shape[1])
        offset = strengths - inside.mean(axis=0)
        distance = (offset * np.linalg.solve(covariance, offset.T).T).sum(axis=1)
        out = distance > np.quantile(distance, 1 - OUTLIERS)
    return out


def mirrored(name: str) -> str:
    """The unit that a mirror shows: mouthLeft for mouthRight."""
    for one, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(one):
            return name.removesuffix(one) + other
    return name


if __name__ == "__main__":
    program.run(main, Config, __doc__)
