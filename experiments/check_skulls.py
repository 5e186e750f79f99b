"""Measure where the tops of the skulls of estimated heads lie, which no photograph of a face shows.

    python experiments/check_skulls.py CORPUS --count 1000
    python experiments/check_skulls.py CORPUS --count 1000 --checkpoint runs/mine

The corpus comes from `mofa3d prepare`. Prints percentiles of the skull's top over photographs, and how often a shape
coefficient lies far out: for heads fitted to MediaPipe's points of the face, and for an encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d import SemanticCode, load_model
from mofa3d.cli import program
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.split import spread
from mofa3d.encoders.checkpoint import open_run
from mofa3d.errors import InputError
from mofa3d.evaluation.tables import table
from mofa3d.fitting.dense_fit import DenseFit
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import check_ranges

BATCH = 32
UPPER = 60.0  # mm above the root of the nose from which on a vertex may be the top of a skull
FAR = 3.5  # standard deviations


@dataclass(frozen=True)
class Config:
    corpus: Positional[Path]
    """A corpus of `mofa3d prepare`."""
    count: int = 1000
    """Photographs, evenly spread over the corpus."""
    checkpoint: Path | None = None
    """Folder or file of an encoder of the default model; by default only points are fitted."""

    def __post_init__(self) -> None:
        check_ranges(self, count=(1, 10_000_000))


def main(config: Config) -> None:
    corpus, model = Corpus(config.corpus), load_model("makehuman")
    known = [i for i in spread(range(len(corpus)), config.count) if corpus.face(i).dense is not None]
    if not known:
        raise InputError(f"{config.corpus} has no dense landmarks; prepare it again")
    shapes = {"points": by_points(corpus, known, model)}
    if config.checkpoint is not None:
        shapes["encoder"] = by_encoder(corpus, known, config.checkpoint)
    rows = []
    for name, shape in shapes.items():
        low, middle, high = skull_tops(model, shape).quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
        far = float((shape.abs() > FAR).float().mean())
        numbers = [f"{low:.1f}", f"{middle:.1f}", f"{high:.1f}", f"{high - low:.1f}", f"{100 * far:.2f} %"]
        rows.append([name, str(len(shape)), *numbers])
    print(table(["", "photographs", "5 %", "median", "95 %", "span", f"coefficients beyond {FAR:g}"], rows))


@torch.no_grad()
def by_points(corpus: Corpus, indices: list[int], model: MorphableModel) -> Float[Tensor, "K S"]:
    """Shapes fitted to dense points."""
    fit, found = DenseFit(model, dense_landmarks()), []
    for start in tqdm(range(0, len(indices), BATCH), desc="fitting points", dynamic_ncols=True):
        points = [corpus.face(i).dense for i in indices[start : start + BATCH]]
        found.append(fit(torch.tensor(points, dtype=torch.float32)[..., :2]).code.shape)
    return torch.cat(found)


@torch.no_grad()
def by_encoder(corpus: Corpus, indices: list[int], checkpoint: Path) -> Float[Tensor, "K S"]:
    """Shapes that an encoder predicts."""
    encoder, decode = open_run(checkpoint)
    codes = torch.cat([encoder(batch["image"]) for batch in in_order(corpus, indices, BATCH, "encoding")])
    return SemanticCode.from_vector(codes, decode.model.sizes).shape


def skull_tops(model: MorphableModel, shape: Float[Tensor, "K S"]) -> Float[Tensor, "K"]:
    """Height of the highest vertex of each head without expression, mm above the model's origin."""
    above = model.mean_shape[:, 1] > model.at_landmarks(model.mean_shape)[27, 1] + UPPER
    heights = model.mean_shape[above, 1] + shape @ model.shape_basis[above, 1].T
    return heights.amax(dim=1)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
