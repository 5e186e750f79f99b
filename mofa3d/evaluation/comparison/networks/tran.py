"""Shape and reflectance of a person, pooled over fits to many photographs, and a regression towards them.

What one photograph says about a person is spoilt by its light, pose and blur; the average over many is steadier, and a
network that learns to say it from any one photograph is robust.

Reference: Tran et al. 2017, "Regressing Robust and Discriminative 3D Morphable Models with a Very Deep Neural Network".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors
from mofa3d.semantic_code import CodeSizes, SemanticCode

IDENTITY_BLOCKS = ("shape", "reflectance")
TARGETS = "targets.safetensors"  # in the folder of a run
OVER, UNDER = 1.0, 3.0  # weights of estimates that are too far from and too near to the average face


@dataclass(frozen=True)
class PooledTargets:
    """What to regress from each photograph.

    Attributes:
        people: names.
        shape: (I, S), reflectance: (I, R), pooled for each.
        index: (K,) row of the corpus of each fitted photograph.
        person: (K,) who it shows, as a row of `people`.
        fits: (K, D) code vectors fitted to each photograph by itself.
        fingerprint: of the face model.
    """

    people: list[str]
    shape: Float[Tensor, "I S"]
    reflectance: Float[Tensor, "I R"]
    index: Int[Tensor, "K"]
    person: Int[Tensor, "K"]
    fits: Float[Tensor, "K D"]
    fingerprint: str

    def save(self, path: Path) -> None:
        """Write everything to a ``.safetensors`` file, atomically."""
        names = ("shape", "reflectance", "index", "person", "fits")
        tensors = {name: getattr(self, name) for name in names}
        facts = {"people": self.people, "fingerprint": self.fingerprint}
        write_tensors(path, tensors, {"pooled": json.dumps(facts)})

    @classmethod
    def read(cls, path: Path) -> PooledTargets:
        """The inverse of `save`.

        Raises:
            InputError: the file is missing, damaged, or something else.
        """
        try:
            tensors, metadata = read_tensors(path)
            facts = json.loads(metadata["pooled"])
            return cls(**cast(dict[str, Any], tensors), **facts)
        except (ValueError, KeyError, TypeError) as error:  # of json, and of a file that says something else
            raise InputError(f"{path} contains no valid pooled targets ({error}); delete it and fit again") from error


def pool(
    fits: SemanticCode, index: Sequence[int], identities: Sequence[str], weights: Float[Tensor, "K"], fingerprint: str
) -> PooledTargets:
    """Average shape and reflectance over the photographs of each person, weighted by how far each fit is to be trusted.

    Args:
        fits: one code per photograph.
        index: row of the corpus of each.
        identities: who each shows.
        weights: of each, not negative.
        fingerprint: of the face model.

    Raises:
        InputError: a person whose weights are all zero.
    """
    people = sorted(set(identities))
    row = {name: number for number, name in enumerate(people)}
    person = torch.tensor([row[name] for name in identities])
    total = weights.new_zeros(len(people)).index_add(0, person, weights)
    if not bool((total > 0).all()):
        name = people[int(total.argmin())]
        raise InputError(f"no fit of {name} has a positive weight; leave this person out")

    def averaged(values: Tensor) -> Tensor:
        sums = values.new_zeros(len(people), values.shape[1]).index_add(0, person, values * weights[:, None])
        return sums / total[:, None]

    return PooledTargets(
        people,
        averaged(fits.shape),
        averaged(fits.reflectance),
        torch.as_tensor(index),
        person,
        fits.to_vector(),
        fingerprint,
    )


class PooledFaces(Dataset):
    """The fitted photographs of a corpus; ``code`` is the photograph's fit with its person's shape and reflectance."""

    def __init__(self, corpus: Dataset, targets: PooledTargets, sizes: CodeSizes) -> None:
        self.corpus, self.targets = corpus, targets
        code = SemanticCode.from_vector(targets.fits, sizes)
        pooled = {"shape": targets.shape[targets.person], "reflectance": targets.reflectance[targets.person]}
        self.codes = code.replace(**pooled).to_vector()

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return {**self.corpus[int(self.targets.index[number])], "code": self.codes[number]}


def asymmetric_distance(
    estimate: Float[Tensor, "B K"], target: Float[Tensor, "B K"], over: float = OVER, under: float = UNDER
) -> Float[Tensor, "B"]:
    """Squared distance that weighs estimates nearer to zero than their target more than those beyond it.

    Under a plain squared distance a network plays safe and says nearly the average face of everybody.
    """
    size, along = target.abs(), torch.where(target < 0, -estimate, estimate)
    beyond = (along - size).clamp_min(0)
    short = (size - along).clamp_min(0)
    return (over * beyond.square() + under * short.square()).sum(dim=1)


def within_person_share(values: Float[Tensor, "K D"], identities: Sequence[str]) -> float:
    """Share of the variance between photographs of one person, of people with several; 0 for a perfect code.

    1 is a code that says nothing about who it is. NaN where nobody has two photographs, or nothing varies.
    """
    names = sorted(set(identities))
    row = {name: number for number, name in enumerate(names)}
    person = torch.tensor([row[name] for name in identities])
    several = torch.bincount(person, minlength=len(names))[person] > 1
    values, person = values[several].double(), person[several]
    if not len(values):
        return float("nan")
    people, person = person.unique(return_inverse=True)
    counts = torch.bincount(person).double()
    means = values.new_zeros(len(people), values.shape[1]).index_add(0, person, values) / counts[:, None]
    # Unbiased: each person's own mean uses up one of their photographs.
    within = (values - means[person]).square().sum() / (len(values) - len(people))
    total = (values - values.mean(dim=0)).square().sum() / (len(values) - 1)
    return float(within / total)
