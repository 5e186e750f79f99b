"""From what `--data` names to a corpus: one that is prepared, or a folder of photographs, prepared into a cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mofa3d.cache_folder import check_cache
from mofa3d.data.corpus import SUMMARY, Corpus
from mofa3d.data.prepare import PrepareConfig, prepare


def open_corpus(data: Path, cache: Path, config: PrepareConfig | None = None, workers: int | None = None) -> Corpus:
    """Open a prepared corpus, or prepare a folder of photographs once and bring it up to date after that.

    Args:
        data: a folder that `mofa3d prepare` wrote, or one of photographs.
        cache: where corpora of plain folders are kept.
        config: how to prepare a plain folder; for both, the split.
        workers: processes; ``None`` means one per core.

    Raises:
        ValueError: no folder, no photograph, no usable face in any of them, or a cache that cannot be written.
    """
    data = data.expanduser().resolve()
    if (data / SUMMARY).is_file():
        return Corpus(data)
    if not data.is_dir():
        raise ValueError(f"there is no folder {data}; give a folder of photographs, or a corpus of `mofa3d prepare`")
    name = f"corpus-{data.name}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"
    check_cache(cache)
    return prepare([data], cache / name, config or PrepareConfig(), workers)
