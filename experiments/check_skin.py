"""Measure whether an encoder's skin is the person's and not the photograph's.

    python experiments/check_skin.py CORPUS
    python experiments/check_skin.py CORPUS --checkpoint runs/mine --videos ytf

The corpus comes from `mofa3d prepare`; only held-out people are measured. Prints, for the reflectance of the cheeks as
`mofa3d reconstruct` gives it and for their color in the photograph: the intraclass correlation of L* over people with
several photographs, the medians of L* by UTKFace's labels Black and White, and the area under the ROC curve when L* is
to tell these apart. The labels are coarse, and were partly made by a program; they are used for nothing but this.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from tyro.conf import Positional

from mofa3d import SemanticCode
from mofa3d.cli import program
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.utkface import read_name
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.weights import SHIPPED
from mofa3d.errors import InputError
from mofa3d.evaluation.tables import table
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.skin_tone import SkinTone, cheek_color
from mofa3d.pictures.color import lightness

BATCH = 32


@dataclass(frozen=True)
class Config:
    corpus: Positional[Path]
    """A corpus of `mofa3d prepare`."""
    checkpoint: Path = SHIPPED
    """Folder or file of an encoder; by default the one that ships with the package."""
    videos: tuple[str, ...] = ("ytf",)
    """Sources in which all photographs of a person have one light, and so say nothing about another one."""


def main(config: Config) -> None:
    corpus = Corpus(config.corpus)
    chosen = [int(i) for i in np.flatnonzero(corpus.held_out) if corpus.face(int(i)).dense is not None]
    if not chosen:
        raise InputError(f"{config.corpus} holds nobody out whose dense landmarks are known; prepare it again")
    found = lightness_of(corpus, chosen, config.checkpoint)
    people = [read_name(corpus.photos[i]) for i in chosen]
    black, white = (np.array([p is not None and p.label == label for p in people]) for label in ("Black", "White"))
    groups = several([corpus.identities[i] for i in chosen], [corpus.sources[i] in config.videos for i in chosen])
    rows = []
    for name, values in found.items():
        medians = [f"{np.median(values[group]):.1f}" if group.any() else "–" for group in (black, white)]
        told = f"{auc(values, white, black):.3f}" if black.any() and white.any() else "–"
        alike = f"{intraclass_correlation(values, groups):.2f}" if len(groups) > 1 else "–"
        rows.append([name, alike, *medians, told])
    print(f"{len(chosen)} photographs, {len(groups)} people with several, {black.sum()} Black, {white.sum()} White")
    print(table(["L*", "ICC", "median Black", "median White", "AUC"], rows))


@torch.no_grad()
def lightness_of(corpus: Corpus, indices: list[int], checkpoint: Path) -> dict[str, Float[np.ndarray, "K"]]:
    """L* of the cheeks: as the encoder predicts them, as fitted colors have them, and in the photograph."""
    encoder, decode = open_run(checkpoint)
    tone, fit = SkinTone(decode.model), ColorFit(decode)
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    points = (np.array(corpus.face(i).dense)[:, :2] for i in indices)
    for batch in in_order(corpus, indices, BATCH, "encoding"):
        image = batch["image"]
        code = SemanticCode.from_vector(encoder(image), decode.model.sizes)
        seen = [cheek_color(one.numpy(), next(points)) for one in image]
        parts["encoder"].append(tone(code.reflectance).double().numpy())
        parts["with colors fitted"].append(tone(fit(code, image).reflectance).double().numpy())
        parts["photograph"].append(np.nan_to_num(np.array(seen)))
    return {name: lightness(np.concatenate(values)) for name, values in parts.items()}


def several(identities: list[str], same_light: list[bool]) -> list[list[int]]:
    """Numbers of the photographs of each person of whom there are several in different lights."""
    members = defaultdict(list)
    for number, (who, same) in enumerate(zip(identities, same_light, strict=True)):
        if not same:
            members[who].append(number)
    return [own for own in members.values() if len(own) > 1]


def intraclass_correlation(values: Float[np.ndarray, "K"], groups: list[list[int]]) -> float:
    """ICC(1): share of the variance that is between the groups, which need not be of one size.

    Reference: Shrout and Fleiss 1979, "Intraclass Correlations: Uses in Assessing Rater Reliability".
    """
    own = [values[group] for group in groups]
    sizes, count = np.array([len(group) for group in own]), len(own)
    total, mean = sizes.sum(), np.concatenate(own).mean()
    between = sum(len(group) * (group.mean() - mean) ** 2 for group in own) / (count - 1)
    within = sum(np.square(group - group.mean()).sum() for group in own) / (total - count)
    typical = (total - np.square(sizes).sum() / total) / (count - 1)
    whole = between + (typical - 1) * within
    return float((between - within) / whole) if whole > 0 else 0.0


def auc(values: Float[np.ndarray, "K"], higher: Bool[np.ndarray, "K"], lower: Bool[np.ndarray, "K"]) -> float:
    """How often a value of one group is above one of the other."""
    apart = values[higher][:, None] - values[lower]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
