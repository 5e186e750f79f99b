"""A corpus of flat faces, each of a grey of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mofa3d.data.corpus.blocks import write_block
from mofa3d.data.corpus.dataset import Corpus, Decisions, finish
from mofa3d.data.corpus.shards import Face, encode_crop

KEYS = [f"photos/Name{number % 10}_Surname_{number:04d}.jpg" for number in range(40)]


def make_corpus(folder: Path, hashes: list[int] | None = None, **decisions) -> Corpus:
    """Forty flat faces in four blocks, the second half of the keys in the first two."""
    order = [*range(20, 40), *range(20)]
    for block in range(4):
        numbers = order[10 * block : 10 * block + 10]
        faces = [
            (
                Face(
                    KEYS[n], KEYS[n].split("/")[1].split("_")[0],
                    landmarks=[[float(n), 1.0]] * 68 if n % 2 else None,
                    confidence=[0.5] * 68 if n % 2 else None,
                    hash=hashes[n] if hashes else n << 40,
                ),
                encode_crop(np.full((8, 8, 3), 6 * n, np.uint8)),
            )
            for n in numbers
        ]  # fmt: skip
        photos = [{"key": KEYS[n], "stamp": "", "faces": 1, "removed": []} for n in numbers]
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        write_block(folder, block, faces, lambda photos=photos: photos, "f")
    return finish(folder, KEYS, Decisions(**decisions), {"about": "a test"})
