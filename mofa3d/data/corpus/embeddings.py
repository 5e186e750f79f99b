"""What a recognition network says of the faces of a corpus, as ``experiments/embed_corpus.py`` writes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa3d.data.corpus.targets import keys_hash
from mofa3d.errors import InputError
from mofa3d.files.given import naming_file, read_tensors
from mofa3d.files.whole import write_tensors


@dataclass(frozen=True)
class Embeddings:
    """One row for each face of a corpus.

    Attributes:
        values: near each other for photographs of one person.
        known: which faces have been seen; the others have zeros.
    """

    values: Float[Tensor, "K D"]
    known: Bool[Tensor, "K"]

    @cached_property
    def centered(self) -> Float[Tensor, "K D"]:
        """Less the mean of all known ones: what all faces have in common tells nobody apart."""
        return self.values - self.values[self.known].mean(dim=0)

    def fingerprint(self) -> str:
        """Of all numbers."""
        digest = hashlib.sha256()
        for tensor in (self.values, self.known):
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def item(self, index: int) -> dict[str, Tensor]:
        """What a corpus's item has beside its photograph."""
        return {"embedding": self.centered[index], "embedding_known": self.known[index].to(torch.float32)}


def write_embeddings(path: Path, embeddings: Embeddings, keys: list[str]) -> None:
    """Write them with the names of the faces they belong to."""
    about = {"mofa3d": json.dumps({"embedded faces": keys_hash(keys)})}
    write_tensors(path, {"values": embeddings.values, "known": embeddings.known}, about)


def read_embeddings(path: Path, keys: list[str]) -> Embeddings:
    """Read what `write_embeddings` wrote.

    Args:
        path: the file.
        keys: of the corpus's faces.

    Raises:
        InputError: the file is missing, damaged, or belongs to another corpus.
    """
    with naming_file(path):
        try:
            tensors, metadata = read_tensors(path)
            matching = json.loads(metadata["mofa3d"])["embedded faces"] == keys_hash(keys)
            embeddings = Embeddings(tensors["values"], tensors["known"])
        except (ValueError, KeyError, TypeError) as error:  # of json and the dictionaries
            raise InputError(f"this is no file of experiments/embed_corpus.py ({error}); write it again") from error
        if not matching:
            raise InputError("it was made for another corpus; run experiments/embed_corpus.py again")
        values, known = embeddings.values, embeddings.known
        if values.ndim != 2 or known.shape != (len(keys),) or len(values) != len(keys) or known.dtype != torch.bool:
            shapes = f"{tuple(values.shape)} and {tuple(known.shape)}"
            raise InputError(f"it has tensors of shapes {shapes} for {len(keys)} faces; write it again")
        if not torch.isfinite(values).all():
            raise InputError("it holds numbers that are not finite; write it again")
    return embeddings
