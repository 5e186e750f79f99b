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
from torch.utils.data import default_collate
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.embeddings import Embeddings, read_embeddings, write_embeddings
from mofa3d.data.readable import readable
from mofa3d.encoders.recognition.chip import face_chips
from mofa3d.encoders.recognition.network import RecognitionNetwork, load_recognition_network
from mofa3d.environment.machine import check_device
from mofa3d.errors import InputError

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


@torch.no_grad()
def embed(network: RecognitionNetwork, corpus: Corpus, indices: list[int], device: str) -> torch.Tensor:
    batch = default_collate([corpus[i] for i in indices])
    return network(face_chips(batch["image"].to(device), batch["landmarks"].to(device), network.size)).cpu()


def main(config: Config) -> None:
    check_device(config.device)
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
    ahead = readable(corpus, ahead)[0] if ahead else []
    starts = range(0, len(ahead), BATCH)
    for number, start in enumerate(tqdm(starts, desc="telling people apart", dynamic_ncols=True), 1):
        indices = ahead[start : start + BATCH]
        found.values[indices] = embed(network, corpus, indices, config.device)
        found.known[indices] = True
        if number % SAVE_EVERY == 0:
            write_embeddings(config.out, found, corpus.photos)
    write_embeddings(config.out, found, corpus.photos)
    print(f"{int(found.known.sum())} of {len(corpus)} faces: {config.out}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
