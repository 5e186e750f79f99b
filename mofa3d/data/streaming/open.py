"""From a URL or a pattern to the data of a training: a corpus with its index, or a stream of shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mofa3d.data.batches.stream import StreamConfig
from mofa3d.data.corpus.blocks import write_block
from mofa3d.data.corpus.dataset import INDEX, KEYS, SUMMARY, Corpus, Decisions, finish
from mofa3d.data.corpus.open import Faces
from mofa3d.data.corpus.shard_files import RemoteShards
from mofa3d.data.corpus.shards import SHARDS
from mofa3d.data.failures import FAILURES
from mofa3d.data.remote import copy_url, is_url, join, url_exists, url_token
from mofa3d.data.streaming.lanes import ShardOrder
from mofa3d.data.streaming.samples import Sample
from mofa3d.data.streaming.shard_list import find_shards
from mofa3d.data.streaming.shard_stream import ShardStream
from mofa3d.data.streaming.windows import Windows
from mofa3d.environment.cache_folder import check_cache
from mofa3d.errors import InputError
from mofa3d.files.locks import alone
from mofa3d.files.whole import write_text

TOKENS = "copied.json"
REPORTED = 512  # faces to report on
MOST_LOOKED_AT = 64  # times as many samples in which they are searched
BLOCK = 256


def is_remote_corpus(data: str) -> bool:
    """Whether a URL is that of a corpus, whose index describes it.

    Raises:
        InputError: nobody can be asked.
    """
    plain = is_url(data) and not data.endswith(".tar") and not set("*[{") & set(data)
    return plain and url_exists(join(data, SUMMARY))


def open_remote_corpus(url: str, cache: Path) -> Corpus:
    """A corpus behind a URL: its index is copied, its shards are read from where they are.

    Args:
        url: of its folder.
        cache: where the copy is kept; what has changed is copied again.

    Raises:
        InputError: it cannot be read, or is not complete.
    """
    check_cache(cache)
    folder = cache / f"remote-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    with alone(folder):
        known = _known(folder / TOKENS)
        tokens = {name: url_token(join(url, name)) for name in (SUMMARY, KEYS, INDEX)}
        for name, token in tokens.items():
            if not token or known.get(name) != token or not (folder / name).is_file():
                copy_url(join(url, name), folder / name)
        if url_exists(join(url, FAILURES)):
            copy_url(join(url, FAILURES), folder / FAILURES)
        write_text(folder / TOKENS, json.dumps(tokens))
        return Corpus(folder, RemoteShards(join(url, SHARDS)))


def _known(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # of json: none, or a damaged one
        return {}
    return found if isinstance(found, dict) else {}


def held_out_faces(stream: ShardStream, cache: Path, count: int = REPORTED) -> Corpus:
    """A small corpus of faces of a stream that are not trained on.

    Args:
        stream: where they come from.
        cache: where they are kept.
        count: how many, if there are as many.

    Raises:
        InputError: there are none, or a shard cannot be read.
    """
    check_cache(cache)
    about = [stream.shards.fingerprint(), stream.fraction, stream.seed, count]
    folder = cache / f"held-out-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}"
    with alone(folder):
        if (folder / SUMMARY).is_file():
            return Corpus(folder)
        samples = list(_found(stream, count))
        if not samples:
            raise InputError(
                f"none of {min(stream.shards.total, count * MOST_LOOKED_AT)} faces is held out; give another share as "
                "--held-out"
            )
        (folder / SHARDS).mkdir(exist_ok=True)
        for first in range(0, len(samples), BLOCK):
            block = samples[first : first + BLOCK]
            photos = [{"key": sample.key, "stamp": "", "faces": 1, "removed": []} for sample in block]
            faces = ((sample.face(), sample.jpeg) for sample in block)
            write_block(folder, first // BLOCK, faces, partial(list, photos), "held out")
        keys = list(dict.fromkeys(sample.key for sample in samples))
        return finish(folder, keys, Decisions(held_out=1.0), {"held out of": about[0]})


def _found(stream: ShardStream, count: int) -> Iterator[Sample]:
    """Faces to report on, a shard at a time in an order of their own."""
    order = ShardOrder(stream.shards.counts, stream.seed, 1)
    windows = Windows(stream.shards, order, BLOCK, stream.is_held_out, stream.config.unreadable)
    try:
        left = count
        for number in range(min(-(-stream.shards.total // BLOCK), -(-count * MOST_LOOKED_AT // BLOCK))):
            for sample in windows.load((0, 0, number)).samples[:left]:
                left -= 1
                yield sample
            if not left:
                return
    finally:
        windows.close()


def open_stream(
    data: str,
    cache: Path,
    held_out_fraction: float | None = None,
    seed: int = 0,
    report_images: int = 0,
    config: StreamConfig | None = None,
) -> Faces:
    """Shards to train on, and a small corpus of their held-out faces to report on.

    Args:
        data: see `find_shards`.
        cache: where the held-out faces are kept.
        held_out_fraction: of the identities; ``None`` means as much as corpora hold out by default.
        seed: of that choice.
        report_images: how many faces to report on; 0 means `REPORTED`.
        config: how to stream; ``None`` refuses to.

    Raises:
        InputError: no shards, nothing held out, or the program needs an index.
    """
    if config is None:
        raise InputError(
            f"{data} names shards without an index, which only experiments/train_mofa.py can train on; give the folder "
            "or URL of a corpus of `mofa3d prepare`"
        )
    shards = find_shards(data, cache)
    fraction = Decisions().held_out if held_out_fraction is None else held_out_fraction
    stream = ShardStream(shards, fraction, seed, config)
    reported = held_out_faces(stream, cache, report_images or REPORTED)
    fact = f"{data}: {shards.total} faces in {len(shards.names)} shards of {len(shards.names.folders)} folders, "
    fact += f"{fraction:.1%} of the people held out, {len(reported)} faces of them measured"
    return Faces(reported, [], list(range(len(reported))), fact, stream)
