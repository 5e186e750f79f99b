"""Compute the position and size of crops for which a corpus's average face matches the projected mean face.

    python experiments/calibrate_crops.py PHOTOS

Prints the constants CROP_SCALE and CROP_SHIFT of mofa3d/data/crop.py, for each source (first-level folder) and for all
sources with equal weight, and the remaining distance of the average landmarks from the projected mean face.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.cli import program
from mofa3d.data.corpus.open import open_corpus
from mofa3d.data.crop import CROP_SCALE, CROP_SHIFT, IMAGE_SIZE, calibrate
from mofa3d.data.detect import FaceBox
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.errors import InputError
from mofa3d.losses import LANDMARKS_46


@dataclass(frozen=True)
class Config:
    photos: tyro.conf.Positional[Path]
    """A folder of photographs with landmarks."""


def main(config: Config) -> None:
    decode = Decoder(load_model("makehuman"), Camera(IMAGE_SIZE))
    points = list(LANDMARKS_46)
    target = decode(SemanticCode.zeros(1)).landmarks[0, points].double().numpy()
    corpus = open_corpus(config.photos, cache_directory())
    known = corpus.confidence.bool().all(dim=1).numpy()
    if not known.any():
        raise InputError(f"no photograph of {config.photos} has all landmarks; put a landmarks_68.csv beside them")
    side = IMAGE_SIZE / CROP_SCALE  # in a crop, every face's box is the same
    box = FaceBox(IMAGE_SIZE / 2, IMAGE_SIZE / 2 - CROP_SHIFT * side, side, 0)
    averages = {}
    for source in sorted(set(corpus.sources)):
        chosen = known & (np.array(corpus.sources) == source)
        if chosen.any():
            averages[source] = np.median(corpus.landmarks.numpy()[chosen][:, points].astype(np.float64), axis=0)
    averages["all"] = np.mean(list(averages.values()), axis=0)
    for source, average in averages.items():
        scale, shift = calibrate(average[None], [box], target, IMAGE_SIZE)
        now = np.linalg.norm(average - target, axis=1).mean()
        print(
            f"{source}: CROP_SCALE {scale:.3f}, CROP_SHIFT {shift:.3f}; "
            f"average face {now:.2f} px from the mean face now"
        )


if __name__ == "__main__":
    program.run(main, Config, __doc__)
