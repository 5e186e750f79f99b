"""A prepared corpus: its folder, and the faces in it as a dataset.

corpus/
  shards/000000.tar ...   WebDataset: crops and what is known about them; beside each a record of its photographs
  removed/                a few of the faces that each rule left out
  index.npz, keys.jsonl   where each kept face lies, so that it can be read in any order
  corpus.json             versions, settings and counts
  failures.csv            every photograph without a usable face, and why
  report.html             the same to look at
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d.data.corpus.content import read_index, read_keys, read_summary
from mofa3d.data.corpus.shard_files import LocalShards, ShardFiles
from mofa3d.data.corpus.shards import SHARDS, SIZES, Face, decode_crop, read_about, read_shard
from mofa3d.data.corpus.split import held_out
from mofa3d.data.failures import FAILURES, Failure, list_failures
from mofa3d.data.photo import Photo, to_tensor
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.files.whole import whole_file, write_text

if TYPE_CHECKING:
    from mofa3d.data.corpus.embeddings import Embeddings
    from mofa3d.data.corpus.targets import Targets

FORMAT = 2  # 1 had crops that were not upright, and no dense landmarks
MOST_SOURCES = 20
REMOVED = "removed"
INDEX = "index.npz"
KEYS = "keys.jsonl"
SUMMARY = "corpus.json"


def sources_of(keys: Sequence[str]) -> list[str]:
    """The collection that each photograph belongs to: a few folders side by side are one each, many are one together.

    With ``faces/lfw/Ann_Lee/1.jpg`` and ``faces/own/2.jpg``, these are ``lfw`` and ``own``; with a thousand folders in
    the place of the two, or one, all are ``faces``.
    """
    below: dict[str, set[str]] = defaultdict(set)
    parts = [key.split("#")[0].split("/") for key in keys]
    for part in parts:
        below[part[0]].add(part[1] if len(part) > 2 else "")
    several = {root for root, folders in below.items() if 1 < len(folders) <= MOST_SOURCES}
    return [part[1] if len(part) > 2 and part[0] in several else part[0] for part in parts]


class Corpus(Dataset):
    """The kept faces of a prepared corpus, read from the shards when asked for.

    Items are ``image`` (3, H, W) in 0 to 1, ``landmarks`` (68, 2) px, ``confidence`` (68,) in 0 to 1 (0: unknown),
    ``index``, for synthetic faces the true ``code`` (D,), and what `targets` and `embeddings` add
    once they are there.

    Attributes:
        folder: where it is.
        photos: key of each face.
        sources: what each was found in, see `sources_of`.
        identities: who each shows.
        landmarks: (K, 68, 2) px.
        confidence: (K, 68).
        held_out: (K,) bool, for validation.
        summary: what ``corpus.json`` says.
        targets: what an encoder is to find, see `mofa3d.data.corpus.targets`; at first ``None``.
        embeddings: what a recognition network says, see `mofa3d.data.corpus.embeddings`; at first ``None``.
    """

    @plain_settings()
    def __init__(self, folder: Path, shards: ShardFiles | None = None) -> None:
        """Open it.

        Args:
            folder: of the corpus.
            shards: where its shards are; by default in the folder too.

        Raises:
            InputError: a folder that does not contain a complete corpus.
        """
        self.folder = folder
        self._shards = shards or LocalShards(folder / SHARDS)
        try:
            self.summary = read_summary(folder / SUMMARY)
            if self.summary.get("format") != FORMAT:
                raise InputError("it was prepared by another version of mofa3d")
            self.photos, self.identities = read_keys(folder / KEYS)
            index = read_index(folder / INDEX, len(self.photos))
            self._shards.check(index.place)
        except (OSError, InputError) as error:
            raise InputError(
                f"{folder} does not contain a complete corpus ({error}); run `mofa3d prepare` again"
            ) from None
        self.sources = sources_of(self.photos)
        self.landmarks = torch.from_numpy(index.landmarks)
        self.confidence = torch.from_numpy(index.confidence)
        self.held_out = index.held_out
        self.codes = None if index.codes is None else torch.from_numpy(index.codes)
        self.targets: Targets | None = None
        self.embeddings: Embeddings | None = None
        self._place = index.place

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {
            "image": to_tensor(self._crop(index)),
            "landmarks": self.landmarks[index],
            "confidence": self.confidence[index],
            "index": torch.tensor(index, device="cpu"),
        }
        if self.codes is not None:
            item["code"] = self.codes[index]
        if self.targets is not None:
            item |= self.targets.item(index)
        if self.embeddings is not None:
            item |= self.embeddings.item(index)
        return item

    def _crop(self, index: int) -> Photo:
        with self._naming(index):
            return decode_crop(self._shards.read(*self._place[index].tolist()))

    def face(self, index: int) -> Face:
        """All that is known about a face, its dense landmarks and expression scores included.

        Raises:
            InputError: the shard is damaged.
        """
        shard, offset, size = self._place[index].tolist()
        with self._naming(index):
            return read_about(partial(self._shards.read, shard), offset, size)

    @contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        """Let mistakes name the photograph and its shard."""
        try:
            yield
        except (InputError, OSError) as error:
            shard = self._shards.name(int(self._place[index, 0]))
            raise InputError(f"{self.photos[index]} in {shard}: {error}") from None

    def fingerprint(self) -> str:
        """Of the names of all faces, and of where each lies in the shards and how large it is."""
        digest = hashlib.sha256("\n".join(self.photos).encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(self._place, dtype=np.int64).tobytes())
        return digest.hexdigest()[:16]

    def shards_of(self, indices: Sequence[int]) -> list[int]:
        """Number of the shard that each of these faces lies in."""
        return self._place[np.asarray(indices, dtype=np.int64), 0].tolist()

    @property
    def failures(self) -> list[Failure]:
        """Photographs without a usable face; raises InputError where the table of them is missing or damaged."""
        path = self.folder / FAILURES
        try:
            with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
                return [Failure(*row) for row in list(csv.reader(file))[1:]]
        except (OSError, TypeError, csv.Error) as error:
            raise InputError(
                f"{path} is not a table of files and reasons ({error}); run `mofa3d prepare` again, which writes it"
            ) from None


def is_corpus(folder: Path) -> bool:
    """Whether a folder holds a corpus, or the beginning of one."""
    from mofa3d.data.corpus.blocks import holds_blocks

    return (folder / SUMMARY).is_file() or holds_blocks(folder)


@dataclass(frozen=True)
class Decisions:
    """What is decided over the whole corpus.

    Attributes:
        duplicate_bits: see `mofa3d.data.corpus.prune.Limits`.
        held_out: fraction of the identities that is for validation.
        seed: of that split.
    """

    duplicate_bits: int = -1
    held_out: float = 0.08
    seed: int = 0


def finish(folder: Path, keys: list[str], decisions: Decisions, about: dict) -> Corpus:
    """Write everything but the shards.

    Faces come in the order of their photographs. Memory holds a few numbers per face, never what the shards say about
    it.

    Args:
        folder: of the corpus.
        keys: all photographs, in the order in which their faces are to come.
        decisions: which faces are duplicates, and which are held out.
        about: settings and versions, for ``corpus.json``.

    Raises:
        InputError: no usable face.
    """
    from mofa3d.data.corpus.blocks import read_records
    from mofa3d.data.corpus.prune import find_duplicates

    order = {key: number for number, key in enumerate(keys)}
    photos: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    failures = []
    for photo in read_records(folder):
        photos["faces"] += photo["faces"]
        removed.update(rule for rule, _ in photo["removed"])
        if not photo["faces"]:
            failures.append(Failure(photo["key"], "; ".join(reason for _, reason in photo["removed"])))
    failures.sort(key=lambda failure: order[failure.photo])
    list_failures(folder / FAILURES, failures)
    sizes = {path.name: 0 for path in sorted((folder / SHARDS).glob("*.tar"))}
    found = []
    for shard, face, _, _ in _faces(folder):
        sizes[f"{shard:06d}.tar"] += 1  # duplicates included
        found.append((_position(face.key, order, folder, shard), face.hash))
    if not found:
        often = ", ".join(f"{rule} {number} times" for rule, number in removed.most_common(3))
        raise InputError(
            f"no usable face in any of the {len(keys)} photographs ({often}; see {folder / FAILURES}); give "
            "photographs with one clear, roughly frontal face"
        )
    position, hashes = (np.array(column, dtype=np.uint64) for column in zip(*found, strict=True))
    ranked = np.argsort(position, kind="stable")
    duplicate = find_duplicates(hashes[ranked].tolist(), decisions.duplicate_bits)
    kept = np.full(len(found), -1)
    kept[ranked[~duplicate]] = np.arange(len(found) - duplicate.sum())
    _write_index(folder, kept, decisions)
    write_text(folder / SHARDS / SIZES, json.dumps(sizes) + "\n")
    counts = {
        "photographs": len(keys),
        "faces": int((kept >= 0).sum()),
        "duplicates": int(duplicate.sum()),
        "photographs without a face": len(failures),
        "removed": dict(sorted(removed.items())),
    }
    summary = {"format": FORMAT, "counts": counts, "decisions": asdict(decisions), **about}
    write_text(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")
    return Corpus(folder)


def _position(key: str, order: dict[str, int], folder: Path, shard: int) -> int:
    """Number of a face's photograph; the key may have the number of a further face at its end."""
    name = key if key in order else key.rsplit("/", 1)[0]
    if name not in order:
        path = folder / SHARDS / f"{shard:06d}.tar"
        raise InputError(
            f"{path} holds a face of {key!r}, which is not among these photographs; delete it and prepare again"
        )
    return order[name]


def _faces(folder: Path) -> Iterator[tuple[int, Face, int, int]]:
    """Number of the shard, face, and offset and size of its crop."""
    for shard in sorted((folder / "shards").glob("*.tar")):
        for face, offset, size in read_shard(shard):
            yield int(shard.stem), face, offset, size


def _write_index(folder: Path, kept: Int[np.ndarray, "K"], decisions: Decisions) -> None:
    """Write the kept faces' places, points and names; `kept` is the row of each face of the shards, or -1."""
    count = int(kept.max()) + 1
    arrays: dict[str, Any] = {
        "place": np.zeros((count, 3), dtype=np.int64),
        "landmarks": np.zeros((count, 68, 2), dtype=np.float32),
        "confidence": np.zeros((count, 68), dtype=np.float32),
    }
    names: list[str] = [""] * count
    for row, (shard, face, offset, size) in zip(kept.tolist(), _faces(folder), strict=True):
        if row < 0:
            continue
        arrays["place"][row] = shard, offset, size
        if face.landmarks is not None:
            arrays["landmarks"][row], arrays["confidence"][row] = face.landmarks, face.confidence
        if face.code is not None:
            codes = arrays.setdefault("codes", np.zeros((count, len(face.code)), dtype=np.float32))
            if len(face.code) != codes.shape[1]:
                sizes = f"{len(face.code)} and {codes.shape[1]}"
                raise InputError(f"{folder} holds codes of {sizes} numbers; make it again")
            codes[row] = face.code
        names[row] = json.dumps([face.key, face.identity])
    identities = [json.loads(name)[1] for name in names]
    arrays["held_out"] = np.array(held_out(identities, decisions.held_out, decisions.seed))
    with whole_file(folder / INDEX) as file:
        np.savez(file, **arrays)
    write_text(folder / KEYS, "\n".join(names) + "\n")
