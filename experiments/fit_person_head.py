"""Solve for what a trained encoder says about the person, from people with several photographs.

    python experiments/fit_person_head.py runs/mine --data CORPUS --targets CORPUS/targets.safetensors --out encoder.safetensors

The targets come from `experiments/fit_corpus.py`: the shape that all photographs of a person have in common, and the tone
of skin that the others show. Held-out photographs are not used. Only the encoder's last layer changes: shape and skin
become functions of what tells people apart (`mofa3d.training.identity_head`), the tone is told as well as it can be
(`mofa3d.training.skin_head`), and then expression, pose and light are what the photographs still need.
`experiments/check_skin.py`, `verify_lfw.py` and `evaluate.py` measure it before and after.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.embeddings import read_embeddings
from mofa3d.data.corpus.sittings import numbers_of, sittings_of
from mofa3d.data.corpus.targets import Targets, read_targets
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import open_run, read_checkpoint, write_encoder
from mofa3d.encoders.network import Encoder
from mofa3d.encoders.weights import checkpoint_file
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.skin_tone import SkinTone, mean_of_others
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.numeric_options import check_ranges
from mofa3d.objective import LossWeights
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.expression_head import Known, changes_for_points
from mofa3d.training.identity_head import (
    embedding_directions,
    identity_directions,
    photograph_weights,
    regress_on_identity,
)
from mofa3d.training.last_layer import LinearMap, add_to_rows, ridge_regression, set_rows
from mofa3d.training.skin_head import set_tone, tone_map
from mofa3d.training.target_losses import TargetLosses

BATCH = 32
FEWEST = 100  # photographs from which people can be learned
POINTS = LossWeights(points=5.0, openings=12.0)
LIGHT_RIDGE = 0.1


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
    embeddings: Path | None = None
    """The file of `embed_corpus.py` about the corpus: the person is then what tells these, and not what differs most
    between the people with several photographs."""
    videos: tuple[str, ...] = ()
    """Sources of the corpus in which all photographs of a person are frames of one video, and so have one light."""
    photographs: int = 4000
    """Photographs that expression, pose and light are regressed on, drawn at random."""
    force: Flag = False
    """Replace the file if it is there."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, photographs=(100, 10_000_000))


@dataclass(frozen=True)
class Photographs:
    """Some photographs of a corpus: their numbers, and the encoder's features."""

    indices: np.ndarray
    features: Float[Tensor, "N F"]

    @property
    def exact(self) -> Float[np.ndarray, "N F"]:
        return self.features.double().numpy()


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    encoder, decode = open_run(config.run)
    corpus = Corpus(config.data)
    sittings = sittings_of(corpus.sources, corpus.identities, config.videos)
    targets = read_targets(config.targets, corpus.photos, decode.model.fingerprint())
    training = ~np.asarray(corpus.held_out) & targets.known.numpy()
    embedded = None if config.embeddings is None else training_embeddings(config.embeddings, corpus)
    told = np.flatnonzero(training & (targets.tone_weight.numpy() > 0))
    if len(told) < FEWEST:
        raise InputError(
            f"{config.targets} knows {len(told)} training photographs of people with several, and {FEWEST} are needed"
        )
    drawn = np.random.default_rng(config.seed).permutation(np.flatnonzero(training))[: config.photographs]
    known = features_of(encoder, corpus, told, "people with several photographs")
    shown = features_of(encoder, corpus, drawn, "all")

    people = numbers_of([corpus.identities[i] for i in told])
    directions = (
        identity_directions(known.exact, people) if embedded is None else by_embeddings(encoder, corpus, embedded)
    )
    sizes = decode.model.sizes
    shapes = targets.geometry[torch.from_numpy(told), : sizes.shape].double().numpy()
    wanted = regress_on_identity(known.exact, directions, shapes, photograph_weights(people))
    set_rows(encoder, sizes, "shape", wanted)
    fit_points(encoder, decode, targets, (known, shown))

    skin = mean_of_others(fitted_colors(encoder, decode, corpus, known, "skin")[0], people, sittings[told])
    share = photograph_weights(people) * skin.weight
    set_rows(encoder, sizes, "reflectance", regress_on_identity(known.exact, directions, skin.mean, share))
    tones = targets.tone[torch.from_numpy(told)].double().numpy()
    tone = tone_map(known.exact, tones, targets.tone_weight.double().numpy()[told], shown.exact)
    set_tone(encoder, SkinTone(decode.model), sizes, tone)
    lacking = fitted_colors(encoder, decode, corpus, shown, "light", light_only=True)[1]
    light = ridge_regression(shown.exact, lacking, np.ones(len(lacking)), LIGHT_RIDGE)
    add_to_rows(encoder, sizes, "illumination", light)

    content = read_checkpoint(checkpoint_file(config.run))
    write_encoder(config.out, {**content, "encoder": encoder.state_dict()})
    print(f"{people.max() + 1} people in {len(told)} photographs, light and pose of {len(drawn)}: {config.out}")


@torch.no_grad()
def features_of(encoder: Encoder, corpus: Corpus, indices: np.ndarray, label: str) -> Photographs:
    batches = in_order(corpus, indices, BATCH, label)
    return Photographs(indices, torch.cat([encoder.features(batch["image"]) for batch in batches]))


def training_embeddings(path: Path, corpus: Corpus) -> tuple[np.ndarray, Float[np.ndarray, "N E"]]:
    """Numbers of the training photographs that a recognition network has seen, and what it says of them."""
    found = read_embeddings(path, corpus.photos)
    seen = np.flatnonzero(~np.asarray(corpus.held_out) & found.known.numpy())
    if len(seen) < FEWEST:
        raise InputError(f"{path} knows {len(seen)} training photographs, and {FEWEST} are needed")
    return seen, found.values[torch.from_numpy(seen)].double().numpy()


def by_embeddings(encoder: Encoder, corpus: Corpus, embedded: tuple[np.ndarray, Float[np.ndarray, "N E"]]) -> LinearMap:
    seen, embeddings = embedded
    return embedding_directions(features_of(encoder, corpus, seen, "all that are recognized").exact, embeddings)


def fit_points(encoder: Encoder, decode: Decoder, targets: Targets, several: tuple[Photographs, ...]) -> None:
    """Let expression and pose fit the points with the shapes that the encoder predicts."""
    features = torch.cat([some.features for some in several])
    points = targets.dense[torch.from_numpy(np.concatenate([some.indices for some in several]))]
    with torch.no_grad():
        codes = SemanticCode.from_vector(encoder.code(features), decode.model.sizes)
    losses = TargetLosses(decode.model, dense_landmarks(), decode.camera)
    for block, change in changes_for_points(Known(features, codes, points), losses, POINTS).items():
        add_to_rows(encoder, decode.model.sizes, block, change)


@torch.no_grad()
def fitted_colors(
    encoder: Encoder, decode: Decoder, corpus: Corpus, some: Photographs, label: str, light_only: bool = False
) -> tuple[Float[np.ndarray, "N R"], Float[np.ndarray, "N 27"]]:
    """Reflectance that is fitted to photographs, and what the predicted illumination lacks."""
    fit, found = ColorFit(decode), []
    rows = some.features.split(BATCH)
    for batch, own in zip(in_order(corpus, some.indices, BATCH, label), rows, strict=True):
        code = SemanticCode.from_vector(encoder.code(own), decode.model.sizes)
        fitted = fit(code, batch["image"], light_only=light_only)
        found.append((fitted.reflectance, (fitted.illumination - code.illumination).flatten(1)))
    reflectance, lacking = (torch.cat(column).double().numpy() for column in zip(*found, strict=True))
    return reflectance, lacking


if __name__ == "__main__":
    program.run(main, Config, __doc__)
