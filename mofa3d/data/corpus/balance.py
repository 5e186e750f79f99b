"""Choose photographs so that every group of people has its share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mofa3d.data.corpus.utkface import read_name


def group_of(photo: str, source: str) -> str:
    """The label in the name of a photograph of UTKFace, else the photograph's source.

    Args:
        photo: its key.
        source: see `mofa3d.data.corpus.dataset.sources_of`.
    """
    person = read_name(photo)
    return f"{source}, {person.label}" if person else source


def balanced(groups: Sequence[str], count: int, seed: int) -> list[int]:
    """Indices of `count` items, of each group as many; groups that have fewer give all, and the others more.

    The indices are sorted; the same seed gives the same.
    """
    random = np.random.default_rng(seed)
    members = {group: random.permutation(np.flatnonzero(np.array(groups) == group)) for group in sorted(set(groups))}
    chosen: list[int] = []
    for left, group in zip(range(len(members), 0, -1), sorted(members, key=lambda g: len(members[g])), strict=True):
        chosen += members[group][: (count - len(chosen)) // left].tolist()
    return sorted(chosen)
