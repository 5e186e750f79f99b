"""What is known about the faces of a corpus beyond their shards, as ``experiments/fit_corpus.py`` writes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.files.given import naming_file, read_tensors
from mofa3d.files.whole import write_tensors

NAMES = ("dense", "known", "geometry", "tone", "tone_weight", "mirrored_points", "mirror")


@dataclass(frozen=True)
class Targets:
    """What an encoder is to find in the faces of a corpus.

    Attributes:
        dense: MediaPipe's 478 points, pixels of the crop.
        known: which faces have them.
        geometry: shape and expression of the code that was fitted to these, the shape to all photographs of a person.
        tone: color of the skin that the other photographs of the same person show, as reflectance, display RGB.
        tone_weight: how much these say; 0 where there are none.
        mirrored_points: which point every point becomes in the mirror image.
        mirror: the geometry of the mirror image is the geometry times this.
    """

    dense: Float[Tensor, "K 478 2"]
    known: Bool[Tensor, "K"]
    geometry: Float[Tensor, "K G"]
    tone: Float[Tensor, "K 3"]
    tone_weight: Float[Tensor, "K"]
    mirrored_points: Int[Tensor, "478"]
    mirror: Float[Tensor, "G G"]

    def fingerprint(self) -> str:
        """Of all numbers."""
        digest = hashlib.sha256()
        for name in NAMES:
            digest.update(getattr(self, name).contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def item(self, index: int) -> dict[str, Tensor]:
        """What a corpus's item has beside its photograph; ``geometry`` (2, G) as it is, and mirrored."""
        known = self.known[index].to(torch.float32)
        own = self.geometry[index]
        return {
            "dense": self.dense[index],
            "dense_known": known,
            "dense_mirrored": self.mirrored_points,
            "geometry": torch.stack([own, own @ self.mirror]),
            "tone": self.tone[index],
            "tone_weight": self.tone_weight[index],
        }


def keys_hash(keys: list[str]) -> str:
    """Of the names of a corpus's faces, in their order."""
    return hashlib.sha256("\n".join(keys).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def write_targets(path: Path, targets: Targets, keys: list[str], fingerprint: str) -> None:
    """Write them with what they belong to: the faces of a corpus and a face model."""
    about = {"mofa3d": json.dumps({"faces": keys_hash(keys), "model": fingerprint})}
    write_tensors(path, {name: getattr(targets, name).contiguous() for name in NAMES}, about)


def read_targets(path: Path, keys: list[str], fingerprint: str) -> Targets:
    """Read what `write_targets` wrote.

    Args:
        path: the file.
        keys: of the corpus's faces.
        fingerprint: of the face model.

    Raises:
        InputError: the file is missing, damaged, or belongs to another corpus or face model.
    """
    with naming_file(path):
        try:
            tensors, metadata = read_tensors(path)
            about = json.loads(metadata["mofa3d"])
            targets = Targets(**{name: tensors[name] for name in NAMES})
            matching = about["faces"] == keys_hash(keys), about["model"] == fingerprint
        except (ValueError, KeyError, TypeError) as error:  # of json and the dictionaries
            raise InputError(f"this is no file of experiments/fit_corpus.py ({error}); write it again") from error
        if not all(matching):
            other = "face model" if matching[0] else "corpus"
            raise InputError(f"it was made for another {other}; run experiments/fit_corpus.py again")
        if len(targets.known) != len(keys) or targets.dense.shape != (len(keys), 478, 2):
            raise InputError(f"it describes {len(targets.known)} faces, the corpus has {len(keys)}; write it again")
    return targets
