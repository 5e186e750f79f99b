"""Blocks of a corpus: a shard and, written after it, a record of the photographs that it was made from.

A block is done when its record is there. Both files appear whole or not at all, so whatever kills a preparation, the
blocks that are done can be relied on, and the others are done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mofa3d.data.corpus.shards import SHARDS, SIZES, Face, write_shard
from mofa3d.errors import InputError
from mofa3d.files.given import read_json
from mofa3d.files.whole import write_text
from mofa3d.numeric_options import check_kinds

NUMBER = 6 * "[0-9]"  # names of blocks


def holds_blocks(folder: Path) -> bool:
    """Whether a corpus was begun in a folder."""
    for record in (folder / SHARDS).glob("*.json"):
        try:
            if {"fingerprint", "photos"} <= json.loads(record.read_text(encoding="utf-8")).keys():
                return True
        except (OSError, ValueError, AttributeError):  # of json
            continue
    return False


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
    for record in sorted(shards.glob(f"{NUMBER}.json")):
        try:
            fingerprint, photos = _read_record(record)
            is_done = record.with_suffix(".tar").exists() and is_current(fingerprint, photos)
        except InputError:
            is_done = False  # a damaged one is done again
        if is_done:
            done[int(record.stem)] = photos
        else:
            record.unlink()
            (shards / SIZES).unlink(missing_ok=True)  # it tells of shards as they were
    for shard in shards.glob(f"{NUMBER}.tar"):
        if int(shard.stem) not in done:
            shard.unlink()
    return done


def read_records(folder: Path) -> Iterator[dict]:
    """What became of each photograph of a corpus; see `write_block`.

    Raises:
        InputError: a record is damaged.
    """
    for record in sorted((folder / SHARDS).glob(f"{NUMBER}.json")):
        yield from _read_record(record)[1]


def _read_record(path: Path) -> tuple[str, list[dict]]:
    """The fingerprint of a block's settings, and its photographs."""
    try:
        content = read_json(path)
        fingerprint, photos = content["fingerprint"], content["photos"]
        for photo in photos:
            texts = [fingerprint, photo["key"], photo["stamp"], *(text for pair in photo["removed"] for text in pair)]
            pairs = all(len(pair) == 2 for pair in photo["removed"])
            check_kinds({"faces": photo["faces"]}, int)
            if not all(isinstance(text, str) for text in texts) or not pairs or photo["faces"] < 0:
                raise InputError(f"a photograph is {str(photo)[:80]}")
        return fingerprint, list(photos)
    except (ValueError, TypeError, KeyError) as error:  # of a damaged file
        raise InputError(
            f"{path} is not a valid record of photographs ({error!r}); delete it and prepare again"
        ) from None
