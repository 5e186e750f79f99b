"""Blocks of a corpus: a shard and, written after it, a record of the photographs that it was made from.

A block is done when its record is there. Both files appear whole or not at all, so whatever kills a preparation, the
blocks that are done can be relied on, and the others are done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mofa3d.data.shards import Face, write_shard
from mofa3d.whole_files import write_text

SHARDS = "shards"


def write_block(
    folder: Path, number: int, faces: Iterable[tuple[Face, bytes]], photos: Callable[[], list[dict]], fingerprint: str
) -> None:
    """Write a block of a corpus.

    Args:
        folder: of the corpus.
        number: of the block.
        faces: with their JPEG crops.
        photos: gives, once the faces are written, what became of each photograph: ``key``, ``stamp``, number of
            ``faces``, and pairs of rule and reason of what was ``removed``.
        fingerprint: of the settings.
    """
    write_shard(folder / SHARDS / f"{number:06d}.tar", faces)
    record = {"fingerprint": fingerprint, "photos": photos()}
    write_text(folder / SHARDS / f"{number:06d}.json", json.dumps(record))


def finished_blocks(folder: Path, is_current: Callable[[str, list[dict]], bool]) -> dict[int, list[dict]]:
    """Photographs of each block that is done; what is left over from others is deleted.

    Args:
        folder: of the corpus; made if it is not there.
        is_current: whether a block with this fingerprint and these photographs is still right.
    """
    shards = folder / SHARDS
    shards.mkdir(parents=True, exist_ok=True)
    for leftover in shards.glob(".*"):
        leftover.unlink(missing_ok=True)
    done: dict[int, list[dict]] = {}
    for record in sorted(shards.glob("*.json")):
        content = json.loads(record.read_text(encoding="utf-8"))
        if record.with_suffix(".tar").exists() and is_current(content["fingerprint"], content["photos"]):
            done[int(record.stem)] = content["photos"]
        else:
            record.unlink()
    for shard in shards.glob("*.tar"):
        if int(shard.stem) not in done:
            shard.unlink()
    return done


def read_records(folder: Path) -> Iterator[dict]:
    """What became of each photograph of a corpus; see `write_block`."""
    for record in sorted((folder / SHARDS).glob("*.json")):
        yield from json.loads(record.read_text(encoding="utf-8"))["photos"]
