"""Who a corpus shows, and which photographs of a person have one light because they are frames of one video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from mofa3d.errors import InputError


def numbers_of(names: Sequence[str]) -> Int[np.ndarray, "K"]:
    """A number for each name, from 0, the same for the same name."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def sittings_of(sources: Sequence[str], identities: Sequence[str], videos: Sequence[str]) -> Int[np.ndarray, "K"]:
    """The number of the sitting that each photograph comes from: its own, or that of all of one person in a video.

    Args:
        sources, identities: of each photograph of a corpus.
        videos: sources whose photographs of a person are frames of one video.

    Raises:
        InputError: the corpus has no such source.
    """
    unknown = set(videos) - set(sources)
    if unknown:
        raise InputError(f"the corpus has no source {sorted(unknown)[0]!r}; it has {sorted(set(sources))}")
    frames = np.isin(sources, list(videos))
    return numbers_of(
        [
            f"{who} in a video" if frame else str(number)
            for number, (who, frame) in enumerate(zip(identities, frames, strict=True))
        ]
    )
