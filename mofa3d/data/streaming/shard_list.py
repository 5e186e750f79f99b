"""Which shards there are and how many samples each has: folders, files, glob patterns and URLs of any file system.

Beside shards, ``sizes.json`` says how many samples each has, as other programs of WebDataset write it too. Where it is
missing, the shards are read once to count.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from mofa3d.data.corpus.shards import SHARDS, SIZES
from mofa3d.data.remote import OpenFile, find_urls, is_url, join, naming_url, open_url, read_url, url_exists, url_token
from mofa3d.data.streaming.fetched import FetchedShard
from mofa3d.data.streaming.samples import count_samples
from mofa3d.data.streaming.shard_names import ShardNames
from mofa3d.errors import InputError
from mofa3d.files.given import read_json
from mofa3d.files.whole import write_text

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_NAMES = 10_000_000
COUNTERS = 16  # threads that count
FOLDERS = 16  # whose sizes are held in memory; shards come folder by folder
FETCHED = 512  # samples, some 20 MB; of larger shards, blocks are fetched while they are read
QUIET: dict[str, Any] = {"leave": False, "dynamic_ncols": True, "mininterval": 1, "delay": 2}


@dataclass(frozen=True)
class ShardList:
    """Shards to read.

    Attributes:
        names: paths or URLs.
        counts: samples of each.
    """

    names: ShardNames
    counts: Int[np.ndarray, "S"]

    @property
    def total(self) -> int:
        """All samples."""
        return int(self.counts.sum(dtype=np.int64))

    @property
    def starts(self) -> Int[np.ndarray, "S"]:
        """Number of each shard's first sample among all."""
        return np.cumsum(self.counts, dtype=np.int64) - self.counts

    def fingerprint(self) -> str:
        """Changes with the names or the numbers of samples."""
        known = hashlib.sha256(self.counts.astype(np.int64).tobytes())
        for name in self.names:
            known.update(name.encode("utf-8", "surrogateescape") + b"\n")
        return known.hexdigest()[:16]


def find_shards(data: str, cache: Path) -> ShardList:
    """The shards that a text names.

    Args:
        data: a folder of shards or a corpus, a .tar file, or a pattern with ``*``, ``?``, ``[...]`` or
            ``{000000..000123}``, on this machine or as a URL.
        cache: where numbers of samples are kept that had to be counted.

    Raises:
        InputError: there are none, they cannot be listed, or one cannot be counted.
    """
    names = ShardNames(name for pattern in _expanded(data) for name in _named(pattern)).distinct()
    if not len(names):
        raise InputError(
            f"{data} names no shard; give a folder of .tar shards, a corpus, or a pattern as 's3://bucket/*/shards/"
            "*.tar' (servers that list no folders need '{000000..000123}.tar')"
        )
    counts = _counts(names, cache)
    some = counts > 0
    if not some.any():
        raise InputError(f"the {len(names)} shards of {data} have no sample")
    return ShardList(names.only(some), counts[some])


def _expanded(pattern: str) -> Iterator[str]:
    """The pattern with each number of ``{first..last}`` in its place, filled with zeros to the width of `first`."""
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    first, last = match.groups()
    if int(last) - int(first) >= MOST_NAMES:
        raise InputError(f"{match.group()} means more than {MOST_NAMES} shards; give fewer, larger ones")
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{pattern[: match.start()]}{number:0{len(first)}d}{pattern[match.end() :]}")


def _named(pattern: str) -> list[str]:
    """Shards of a pattern without braces, sorted; ``memory://*.tar`` and such are patterns of URLs."""
    if is_url(pattern):
        if "*" in pattern or "[" in pattern:
            return find_urls(pattern)
        if pattern.endswith(".tar"):
            return [pattern]
        return find_urls(join(pattern, "*.tar")) or find_urls(join(pattern, SHARDS, "*.tar"))
    path = Path(pattern).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.tar")) or sorted((path / SHARDS).glob("*.tar"))
        return [str(shard) for shard in found]
    return sorted(glob.glob(str(path))) if glob.has_magic(pattern) else [str(path)]  # noqa: PTH207


def _counts(names: ShardNames, cache: Path) -> Int[np.ndarray, "S"]:
    """Samples of each shard, as far as known from the file beside it; the others are counted."""
    sizes_of = lru_cache(FOLDERS)(_read_sizes)
    counts = np.full(len(names), -1, dtype=np.int64)
    for number, name in enumerate(names):
        folder, _, file = name.replace("\\", "/").rpartition("/")
        counts[number] = sizes_of(folder).get(file, -1)
    unknown = np.flatnonzero(counts < 0).tolist()
    with ThreadPoolExecutor(COUNTERS) as pool:
        counted = pool.map(lambda number: _counted(names[number], cache), unknown)
        for number, count in zip(unknown, tqdm(counted, "counting", len(unknown), unit="shard", **QUIET), strict=True):
            counts[number] = count
    return counts


def _read_sizes(folder: str) -> dict[str, int]:
    """What ``sizes.json`` of a folder says; nothing where there is none."""
    url = join(folder, SIZES)
    if is_url(folder):
        if not url_exists(url):
            return {}
        try:
            sizes = json.loads(read_url(url))
        except ValueError as error:  # of json
            raise InputError(f"{url} is no JSON ({error}); write it again, or delete it") from None
    else:
        path = Path(folder or ".") / SIZES
        if not path.is_file():
            return {}
        sizes = read_json(path, most=1_000_000_000)
    return _checked_sizes(sizes, url)


def _checked_sizes(sizes: Any, name: str) -> dict[str, int]:
    good = isinstance(sizes, dict) and all(type(count) is int and count >= 0 for count in sizes.values())
    if not good:
        raise InputError(f"{name} must say a number of samples for each shard; write it again, or delete it")
    return sizes


def _counted(name: str, cache: Path) -> int:
    """How many samples a shard has; kept, so that it is read once."""
    token = _token(name)
    digest = hashlib.sha256(f"{name}\n{token}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    path = cache / "shard-sizes" / f"{digest}.json"
    if token and path.is_file():
        return _checked_sizes(read_json(path), str(path))["samples"]
    with naming_url(name):
        count = _read_all(name)
    if token:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"samples": count}))
    return count


def _token(name: str) -> str:
    if is_url(name):
        return url_token(name)
    try:
        status = Path(name).stat()
    except OSError:
        raise InputError(f"there is no shard {name}") from None
    return f"{status.st_size}-{status.st_mtime_ns}"


def _read_all(name: str) -> int:
    with closing(open_shard(name)) as file:
        return count_samples(file)


def open_shard(name: str, count: int = 0) -> OpenFile:
    """A shard to read from its beginning on: small ones of other machines are fetched as a whole.

    Args:
        name: path or URL.
        count: its samples, as far as known.

    Raises:
        InputError: it cannot be read.
        OSError: the same, of a file.
    """
    if not is_url(name):
        return open(name, "rb")
    return open_url(name) if count > FETCHED else FetchedShard(read_url(name))
