"""Split photographs into training and held-out sets by identity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

NAME = re.compile(r"(?P<name>[^\W\d_][^_]*(?:_[^\W\d_][^_]*)*)_\d+")


def identity_of(photo: str) -> str:
    """Who a photograph shows: the name in ``Name_Surname_0001.jpg``, else the photograph's own path.

    Folders do not count, so the same person in two corpora is the same identity.
    """
    match = NAME.fullmatch(PurePosixPath(photo).stem)
    return match["name"] if match else photo


def held_out(identities: Sequence[str], fraction: float, seed: int) -> list[bool]:
    """Which photographs are held out, about `fraction` of the identities.

    The choice hashes each identity with the seed, so it does not change when photographs come or go.

    Raises:
        ValueError: a fraction outside 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"the held-out fraction must lie in 0 to 1, got {fraction}")
    return [_uniform(f"{seed}:{identity}") < fraction for identity in identities]


def _uniform(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
