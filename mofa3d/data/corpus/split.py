"""Split photographs into training and held-out sets by identity."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from mofa3d.errors import InputError

NAME = re.compile(r"(?P<name>[^\W\d_][^_]*(?:_[^\W\d_][^_]*)*)_\d+")
# Words that number photographs, not people: a camera's IMG_0001 and IMG_0002 need not show the same person.
NO_NAMES = {
    "crop", "dsc", "dscf", "dscn", "face", "frame", "image", "img", "man", "mvi", "person", "photo", "pic", "picture",
    "portrait", "pxl", "sample", "scan", "screenshot", "selfie", "subject", "test", "train", "val", "vid", "video",
}  # fmt: skip


def identity_of(photo: str) -> str:
    """Who a photograph shows: the name in ``Name_Surname_0001.jpg``, else the photograph's own path.

    Folders do not count, so the same person in two corpora is the same identity. Names that only count photographs, as
    ``IMG_0001.jpg``, are no names.
    """
    match = NAME.fullmatch(PurePosixPath(photo).stem)
    if match and not NO_NAMES.issuperset(match["name"].casefold().split("_")):
        return match["name"]
    return photo


def held_out(identities: Sequence[str], fraction: float, seed: int) -> list[bool]:
    """Which photographs are held out, about `fraction` of the identities.

    The choice hashes each identity with the seed, so it does not change when photographs come or go.

    Raises:
        InputError: a fraction outside 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"the held-out fraction must be from 0 to 1, got {fraction}")
    return [_uniform(f"{seed}:{identity}") < fraction for identity in identities]


def train_and_test(identities: Sequence[str], out: Sequence[bool], name: str) -> tuple[list[int], list[int]]:
    """Indices of the images to train on, and of those held out.

    Args:
        identities: of all images, for the message.
        out: which are held out.
        name: of the data, for the message.

    Raises:
        InputError: one of the two is empty.
    """
    train, test = ([i for i, is_out in enumerate(out) if is_out == wanted] for wanted in (False, True))
    if not train or not test:
        raise InputError(
            f"of {len(set(identities))} identities in {name}, {len(train)} images would be trained on and {len(test)} "
            "reported on; give more images or another share as --held-out"
        )
    return train, test


def repeat_evenly(items: Sequence[int], sources: Sequence[str]) -> list[int]:
    """The items, those of small sources several times, so that all sources come about equally often.

    Args:
        items: indices.
        sources: of all that they index.
    """
    counts = Counter(sources[i] for i in items)
    largest = max(counts.values())
    return [i for i in items for _ in range(round(largest / counts[sources[i]]))]


def _uniform(text: str) -> float:
    return int.from_bytes(hashlib.sha256(os.fsencode(text)).digest()[:8], "big") / 2**64


def spread(items: Sequence[int], count: int) -> list[int]:
    """A few of the items, evenly spread from the first on; all if there are no more."""
    wanted = min(count, len(items))
    return [items[i * len(items) // wanted] for i in range(wanted)]
