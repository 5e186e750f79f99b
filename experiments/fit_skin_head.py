"""Solve for what a trained encoder says about skin and light, from people with several photographs.

    python experiments/fit_skin_head.py runs/mine --data CORPUS --targets CORPUS/targets.safetensors --out encoder.safetensors

The targets come from `experiments/fit_corpus.py`: the tone of skin that a person's other photographs show. Held-out
photographs are not used. Only the encoder's last layer changes (`mofa3d.training.skin_head`); `experiments/check_skin.py`
measures it before and after.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import default_collate
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.targets import read_targets
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import open_run, read_checkpoint, write_encoder
from mofa3d.encoders.network import Encoder
from mofa3d.encoders.weights import checkpoint_file
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.numeric_options import check_ranges
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.skin_head import LIGHT_RIDGE, add_to_light, ridge_regression, set_tone, tone_map

BATCH = 32
FEWEST = 100  # photographs from which a tone can be learned


@dataclass(frozen=True)
class Config:
    run: Positional[Path]
    """Folder of a training run, or its checkpoint."""
    data: Path
    """The corpus of `mofa3d prepare` that it was trained on."""
    targets: Path
    """The file of `fit_corpus.py` about the corpus."""
    out: Path
    """The file to write, which ends with .safetensors."""
    photographs: int = 4000
    """Photographs that the light is regressed on, drawn at random."""
    force: Flag = False
    """Replace the file if it is there."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, photographs=(100, 10_000_000))


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    encoder, decode = open_run(config.run)
    corpus = Corpus(config.data)
    targets = read_targets(config.targets, corpus.photos, decode.model.fingerprint())
    training = ~np.asarray(corpus.held_out)
    weights = targets.tone_weight.double().numpy()
    told = np.flatnonzero(training & (weights > 0))
    if len(told) < FEWEST:
        raise InputError(
            f"{config.targets} knows the tone of {len(told)} training photographs, and {FEWEST} are needed"
        )
    drawn = np.random.default_rng(config.seed).permutation(np.flatnonzero(training))[: config.photographs]

    known = features_of(encoder, corpus, told, "people with several photographs")
    shown = features_of(encoder, corpus, drawn, "all")
    tone = tone_map(known, targets.tone[torch.from_numpy(told)].double().numpy(), weights[told], shown)
    set_tone(encoder, SkinTone(decode.model), decode.model.sizes, tone)
    change = light_that_is_missing(encoder, decode, corpus, drawn, shown)
    light = ridge_regression(shown, change, np.ones(len(shown)), LIGHT_RIDGE)
    add_to_light(encoder, decode.model.sizes, light)

    content = read_checkpoint(checkpoint_file(config.run))
    write_encoder(config.out, {**content, "encoder": encoder.state_dict()})
    print(f"{len(told)} photographs of people with several, light of {len(drawn)}: {config.out}")


def images(corpus: Corpus, indices: np.ndarray, label: str) -> Iterator[Tensor]:
    """Batches of photographs."""
    for start in tqdm(range(0, len(indices), BATCH), desc=label, dynamic_ncols=True):
        yield default_collate([corpus[int(i)] for i in indices[start : start + BATCH]])["image"]


@torch.no_grad()
def features_of(encoder: Encoder, corpus: Corpus, indices: np.ndarray, label: str) -> Float[np.ndarray, "N F"]:
    found: list[Tensor] = [encoder.features(image) for image in images(corpus, indices, label)]
    return torch.cat(found).double().numpy()


@torch.no_grad()
def light_that_is_missing(
    encoder: Encoder, decode: Decoder, corpus: Corpus, indices: np.ndarray, features: Float[np.ndarray, "N F"]
) -> Float[np.ndarray, "N 27"]:
    """What the predicted illumination lacks to light the predicted skin as the photographs show it."""
    fit, found = ColorFit(decode), []
    rows = torch.from_numpy(features).float().split(BATCH)
    for image, own in zip(images(corpus, indices, "light"), rows, strict=True):
        code = SemanticCode.from_vector(encoder.code(own), decode.model.sizes)
        found.append(fit(code, image, light_only=True).illumination - code.illumination)
    return torch.cat(found).flatten(1).double().numpy()


if __name__ == "__main__":
    program.run(main, Config, __doc__)
