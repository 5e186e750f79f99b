"""Check whether reconstructed eyes are closed in photographs of closed eyes, and open in those of open ones.

    python experiments/check_eyes.py FACES
    python experiments/check_eyes.py FACES --checkpoint runs/mine

The table has the columns file, state, with a path below FACES and open or closed. An eye counts as closed if the gap
between its lids is less than a share of its width (`mofa3d.data.landmarks_478.eye_opening` of the reconstruction).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.data.detect import detect_faces
from mofa3d.data.landmarks_478 import eye_opening
from mofa3d.data.photo import read_photo
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.weights import SHIPPED
from mofa3d.errors import InputError
from mofa3d.evaluation.tables import table
from mofa3d.kernels.vertex_loss.base import PointProjection
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.numeric_options import check_ranges
from mofa3d.reconstruction.reconstructor import crop_at
from mofa3d.semantic_code import SemanticCode

STATES = Path(__file__).with_name("eye_states.csv")


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """The folder that the table's paths start from."""
    states: Path = STATES
    """Which photographs show open eyes, and which closed ones."""
    checkpoint: Path = SHIPPED
    """Folder or file of an encoder of the default model; by default the one that ships with the package."""
    closed: float = 0.12
    """The gap between the lids, as a share of the eye's width, below which an eye counts as closed."""

    def __post_init__(self) -> None:
        check_ranges(self, closed=(0.0, 1.0))


@torch.no_grad()
def main(config: Config) -> None:
    encoder, decode = open_run(config.checkpoint)
    project = PointProjection(decode.model, dense_landmarks(), decode.camera)
    gaps: dict[str, list[float]] = {"closed": [], "open": []}
    missing = 0
    with open(config.states, newline="", encoding="utf-8") as file:
        rows = [(row["file"], row["state"]) for row in csv.DictReader(file)]
    for name, state in tqdm(rows, dynamic_ncols=True):
        photo = read_photo(config.photos / name)
        faces = detect_faces(photo)
        missing += not faces
        for face in faces[:1]:
            crop = crop_at(photo, face, decode.camera.image_size)
            code = SemanticCode.from_vector(encoder(crop.pixels[None]), decode.model.sizes)
            gaps[state].append(float(eye_opening(project(code)[0].numpy()).mean()))
    if not all(gaps.values()):
        raise InputError(f"{config.states} needs photographs of {config.photos} with closed eyes, and with open ones")
    print(f"{missing} faces not found")
    print(table(["eyes", "photographs", "median gap", "taken for closed (%)"], [
        [state, str(len(values)), f"{np.median(values):.3f}", f"{100 * np.mean(np.array(values) < config.closed):.0f}"]
        for state, values in gaps.items()
    ]))  # fmt: skip


if __name__ == "__main__":
    program.run(main, Config, __doc__)
