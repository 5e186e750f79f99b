"""Fit geometry to the points of all faces of a corpus, and collect what their other photographs say about their skin.

    python experiments/fit_corpus.py CORPUS --out CORPUS/targets.safetensors
    python experiments/fit_corpus.py CORPUS --videos ytf --out CORPUS/targets.safetensors
    python experiments/train_mofa.py --data CORPUS --targets CORPUS/targets.safetensors

The corpus comes from `mofa3d prepare`. Each face's shape, expression and pose are fitted to MediaPipe's 478 points; all
photographs of one person share one shape. Who a photograph shows is taken from its file name (``Name_0001.jpg``), as
for the split into training and held-out people; nobody is labelled. A photograph's own color is skin times light, but
the average color of the same person's other photographs, in other lights, is the skin's: that is what an encoder can
learn to tell from one.

Reference: Tewari et al. 2019, "FML: Face Model Learning from Videos", whose photographs of one person share shape and
reflectance too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d import Camera, load_model
from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.sittings import numbers_of, sittings_of
from mofa3d.data.corpus.targets import Targets, write_targets
from mofa3d.data.crop import IMAGE_SIZE
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing
from mofa3d.fitting.dense_fit import DenseFit, DenseFitConfig, shared_shape
from mofa3d.fitting.skin_tone import SkinTone, cheek_color, tone_of_others
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.models.mirroring import mirrored_codes, mirrored_points
from mofa3d.numeric_options import check_ranges

BATCH = 32


@dataclass(frozen=True)
class Config:
    corpus: Positional[Path]
    """A corpus of `mofa3d prepare`."""
    out: Path
    """The file to write."""
    videos: tuple[str, ...] = ()
    """Sources of the corpus in which all photographs of a person are frames of one video, and so have one light."""
    contrast: float = 1.0
    """Factor on the differences between people's skin. One photograph tells only a part of them, so that encoders which
    learn from it make people more alike than they are."""
    fit: DenseFitConfig = field(default_factory=DenseFitConfig)
    force: Flag = False
    """Replace the file if it is there."""

    def __post_init__(self) -> None:
        check_ranges(self, contrast=(0.1, 10))


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    if not config.out.absolute().parent.is_dir():
        raise InputError(f"there is no folder {config.out.absolute().parent} for {config.out.name}; make it first")
    corpus, model = Corpus(config.corpus), load_model("makehuman")
    fit = DenseFit(model, dense_landmarks(), Camera(IMAGE_SIZE), config.fit)
    sittings = sittings_of(corpus.sources, corpus.identities, config.videos)
    dense, known, colors = read_faces(corpus)
    if not known.any():
        raise InputError(f"{config.corpus} has no dense landmarks; prepare it again")
    people = torch.from_numpy(numbers_of(corpus.identities))
    geometry = fit_people(fit, dense, known, people)
    lost = known & ~geometry.isfinite().all(dim=1)
    if lost.any():  # points that are no face's can lead a fit astray
        print(f"{int(lost.sum())} faces could not be fitted, and count as unknown")
        known, geometry = known & ~lost, geometry.nan_to_num(0.0, 0.0, 0.0)
    others = tone_of_others(colors, people.numpy(), sittings)
    tone = SkinTone(model).from_photographs(others.mean, config.contrast)
    targets = Targets(
        dense=dense,
        known=known,
        geometry=geometry,
        tone=torch.from_numpy(tone).float(),
        tone_weight=torch.from_numpy(others.weight).float(),
        mirrored_points=mirrored_points(fit.mean),
        mirror=mirrored_codes(model),
    )
    write_targets(config.out, targets, corpus.photos, model.fingerprint())
    several = int((others.weight > 0).sum())
    print(f"{int(known.sum())} of {len(corpus)} faces fitted, {several} with other photographs: {config.out}")


def read_faces(corpus: Corpus) -> tuple[Float[Tensor, "K 478 2"], Tensor, Float[np.ndarray, "K 3"]]:
    """Points, which faces have any, and the color of the cheeks as the photograph shows it."""
    dense = torch.zeros(len(corpus), 478, 2)
    known = torch.zeros(len(corpus), dtype=torch.bool)
    colors = np.full((len(corpus), 3), np.nan)
    for index in tqdm(range(len(corpus)), desc="reading", dynamic_ncols=True):
        points = corpus.face(index).dense
        if points is not None:
            dense[index], known[index] = torch.tensor(points)[:, :2], True
            colors[index] = cheek_color(corpus[index]["image"].numpy(), dense[index].numpy())
    return dense, known, colors


def fit_people(fit: DenseFit, dense: Tensor, known: Tensor, people: Tensor) -> Float[Tensor, "K G"]:
    """Shape and expression of each face; people with several photographs have one shape."""
    result = torch.zeros(len(dense), fit.basis.shape[2])
    members: dict[int, list[int]] = defaultdict(list)
    for index in known.nonzero().flatten().tolist():
        members[int(people[index])].append(index)
    blocks, block = [], []
    for own in members.values():
        block.append(own)
        if sum(map(len, block)) >= BATCH:
            blocks.append(block)
            block = []
    blocks += [block] if block else []
    for together in tqdm(blocks, desc="fitting", dynamic_ncols=True):
        indices = torch.tensor([index for own in together for index in own])
        first = fit(dense[indices])
        owners = torch.tensor([number for number, own in enumerate(together) for _ in own])
        shape = shared_shape(first.code.shape, first.information, owners)[owners]
        several = torch.bincount(owners)[owners] > 1
        expression = first.code.expression
        if several.any():
            expression[several] = fit(dense[indices[several]], shape[several]).code.expression
        result[indices] = torch.cat([shape, expression], dim=1)
    return result


if __name__ == "__main__":
    program.run(main, Config, __doc__)
