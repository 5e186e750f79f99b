"""Whether data are shards to stream, and how they are streamed; asked by every training before anything is opened."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mofa3d.data.corpus.shards import SIZES
from mofa3d.numeric_options import check_ranges

OnUnreadable = Literal["stop", "skip"]


@dataclass(frozen=True)
class StreamConfig:
    """How shards are streamed.

    Attributes:
        buffer: faces that are shuffled at a time, of all ranks together; they come from as many places of the corpus as
            a batch has lanes, up to 32.
        workers: processes that decode and change photographs, of each rank; 0 means threads of the training itself.
        unreadable: whether a shard that cannot be read ends the training, or is named and left out.
    """

    buffer: int = 4096
    workers: int = 0
    unreadable: OnUnreadable = "stop"

    def __post_init__(self) -> None:
        check_ranges(self, buffer=(1, 100_000_000), workers=(0, 1024))


def names_shards(data: str) -> bool:
    """Whether a text names shards to stream: a URL, a pattern, an archive, or a folder with ``sizes.json``."""
    if "://" in data:
        from mofa3d.data.remote import is_url

        if is_url(data):
            return True
    path = Path(data).expanduser()
    if (path / SIZES).is_file():
        return True
    return not path.is_dir() and (glob.has_magic(data) or "{" in data or data.endswith(".tar"))
