"""Let dlib's recognition network look at every face of a corpus.

    python experiments/embed_corpus.py CORPUS --out embeddings.safetensors

Takes 0.02 s per face on one core, people with several photographs first. What a stopped run has seen is in the file,
and the same command goes on from there. The weights come with the package face_recognition_models
(`mofa3d[recognition]`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.embeddings import Embeddings, read_embeddings, write_embeddings
from mofa3d.data.failures import Failure
from mofa3d.data.readable import warn_about
from mofa3d.encoders.recognition.network import embeddings_of, load_recognition_network
from mofa3d.environment.machine import check_device
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing

BATCH = 32
SAVE_EVERY = 25  # batches


@dataclass(frozen=True)
class Config:
    corpus: Positional[Path]
    """A corpus of `mofa3d prepare`."""
    out: Path
    """The file to write, or to go on with; it ends with .safetensors."""
    weights: Path | None = None
    """File of dlib's network, instead of that of the package face_recognition_models."""
    device: str = "cpu"
    seed: int = 0
    """Of the order of people with one photograph."""


def order_of(corpus: Corpus, seed: int) -> np.ndarray:
    """Numbers of the faces with landmarks: those of people with several photographs come first."""
    usable = np.flatnonzero((corpus.confidence > 0).all(dim=1).numpy())
    shown = Counter(corpus.identities[i] for i in usable)
    mixed = np.random.default_rng(seed).permutation(usable)
    alone = np.array([shown[corpus.identities[i]] == 1 for i in mixed])
    return mixed[np.argsort(alone, kind="stable")]


def read_faces(corpus: Corpus, indices: list[int], failures: list[Failure]) -> dict[int, dict[str, Tensor]]:
    """The faces that can be read, by their numbers; what is wrong with the others is added to `failures`."""
    faces = {}
    for index in indices:
        try:
            faces[index] = corpus[index]
        except InputError as error:
            failures.append(Failure(corpus.photos[index], str(error)))
    return faces


def main(config: Config) -> None:
    check_device(config.device)
    refuse_existing(config.out, force=True)  # a file is gone on with, if it is of this corpus
    corpus = Corpus(config.corpus)
    network = load_recognition_network(config.weights).to(config.device)
    if config.out.exists():
        found = read_embeddings(config.out, corpus.photos)
        if found.values.shape[1] != network.width:
            raise InputError(
                f"{config.out} has {found.values.shape[1]} numbers of each face, and this network says "
                f"{network.width}; name another file"
            )
    else:
        found = Embeddings(torch.zeros(len(corpus), network.width), torch.zeros(len(corpus), dtype=torch.bool))
    ahead = [int(i) for i in order_of(corpus, config.seed) if not found.known[i]]
    failures: list[Failure] = []
    starts = range(0, len(ahead), BATCH)
    for number, start in enumerate(tqdm(starts, desc="telling people apart", dynamic_ncols=True), 1):
        seen = read_faces(corpus, ahead[start : start + BATCH], failures)
        if seen:
            found.values[list(seen)] = embeddings_of(network, default_collate(list(seen.values())), config.device)
            found.known[list(seen)] = True
        if number % SAVE_EVERY == 0:
            write_embeddings(config.out, found, corpus.photos)
    write_embeddings(config.out, found, corpus.photos)
    warn_about(failures)
    print(f"{int(found.known.sum())} of {len(corpus)} faces: {config.out}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
