"""Faces of a shard, one after the other, as a stream of bytes gives them."""

from __future__ import annotations

import json
import tarfile
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.data.corpus.shards import LARGEST, MOST_SAID, Face, checked, decode_crop
from mofa3d.data.photo import to_tensor
from mofa3d.data.remote import OpenFile
from mofa3d.data.streaming.fetched import FetchedShard
from mofa3d.errors import InputError

MOST_CROP = 4 * LARGEST**2  # bytes
UNUSED = ("dense", "expression")  # large, and nothing that trains on a stream asks for them


@dataclass(frozen=True)
class Sample:
    """A face that is not decoded yet.

    Attributes:
        index: its number among all samples of the shards.
        key, identity: see `mofa3d.data.corpus.shards.Face`.
        jpeg: its crop.
        landmarks: px; with confidence 0 where none are known.
        confidence: 0 to 1.
        code: of a synthetic face, or ``None``.
    """

    index: int
    key: str
    identity: str
    jpeg: bytes
    landmarks: Float[np.ndarray, "68 2"]
    confidence: Float[np.ndarray, "68"]
    code: Float[np.ndarray, "D"] | None

    def item(self) -> dict[str, Tensor]:
        """As `mofa3d.data.corpus.dataset.Corpus` has them; raises InputError for a damaged crop."""
        item = {
            "image": to_tensor(decode_crop(self.jpeg)),
            "landmarks": torch.from_numpy(self.landmarks),
            "confidence": torch.from_numpy(self.confidence),
            "index": torch.tensor(self.index, device="cpu"),
        }
        return item if self.code is None else {**item, "code": torch.from_numpy(self.code)}

    def face(self) -> Face:
        """What a shard says about it, as far as it is kept."""
        points = (self.landmarks.tolist(), self.confidence.tolist()) if self.confidence.any() else (None, None)
        code = None if self.code is None else self.code.tolist()
        return Face(self.key, self.identity, landmarks=points[0], confidence=points[1], code=code)


class ShardEndError(InputError):
    """A shard ends where another sample was expected."""


class ShardReader:
    """Reads a shard from its beginning on; what lies before is passed over.

    Args:
        file: the shard.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self.position = 0  # samples that were read or passed over

    def take(self, first: int, last: int) -> list[tuple[dict, bytes]]:
        """What the shard says about samples from `first` to before `last`, and their crops.

        Raises:
            InputError: it is damaged, has fewer, or `first` is behind.
        """
        if first < self.position:
            raise InputError(f"sample {first} was passed already")
        while self.position < first:
            self.skip()
        return [self._next(wanted=True) for _ in range(first, last)]

    def _next(self, wanted: bool) -> tuple[dict, bytes]:
        jpeg: bytes | None = None
        while True:
            member = self._header()
            if member.name.endswith(".jpg") and member.isreg():
                jpeg = self._content(member.size, MOST_CROP, wanted)
            elif member.name.endswith(".json") and member.isreg() and jpeg is not None:
                about = self._content(member.size, MOST_SAID, wanted)
                self.position += 1
                return (_said(about) if wanted else {}), jpeg
            else:
                self._content(member.size, MOST_CROP, wanted=False)

    def _header(self) -> tarfile.TarInfo:
        block = self._exactly(tarfile.BLOCKSIZE)
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError) as error:
            if not block.strip(b"\0"):
                raise ShardEndError(f"it ends after {self.position} samples") from None
            raise InputError(f"it is damaged after {self.position} samples ({error})") from None

    def _content(self, size: int, most: int, wanted: bool) -> bytes:
        if size > most:
            raise InputError(f"a member has {size} bytes, and {most} are allowed")
        padded = -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if not wanted:
            with suppress(ValueError, OSError):  # of files that can only be read on
                self._file.seek(padded, 1)
                return b""
        return self._exactly(padded)[:size]

    def _exactly(self, size: int) -> bytes:
        content = self._file.read(size)
        while len(content) < size:
            more = self._file.read(size - len(content))
            if not more:
                raise InputError(f"it ends after {self.position} samples")
            content += more
        return content

    def skip(self) -> None:
        """Pass over a sample; raises ShardEndError at the end."""
        self._next(wanted=False)

    def release(self) -> None:
        """Let go of what has been read of a shard that was fetched as a whole."""
        if isinstance(self._file, FetchedShard):
            self._file.release()

    def close(self) -> None:
        self._file.close()


def count_samples(file: OpenFile) -> int:
    """How many samples a shard has; raises InputError for a damaged one."""
    reader = ShardReader(file)
    while True:
        try:
            reader.skip()
        except ShardEndError:
            return reader.position


def _said(about: bytes) -> dict:
    try:
        fields = json.loads(about)
    except (ValueError, RecursionError) as error:  # of json
        raise InputError(f"what it says about a face is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise InputError(f"what it says about a face is a {type(fields).__name__}")
    return fields


def to_sample(fields: dict, jpeg: bytes, index: int) -> Sample:
    """A sample of what its shard says about it; raises InputError for what is no face."""
    try:
        face = checked(Face(**{name: value for name, value in fields.items() if name not in UNUSED}))
    except TypeError as error:
        raise InputError(f"what it says about a face is not ours ({error})") from None
    points, confidence = np.zeros((68, 2), dtype=np.float32), np.zeros(68, dtype=np.float32)
    if face.landmarks is not None:
        points[:], confidence[:] = face.landmarks, face.confidence
    code = None if face.code is None else np.array(face.code, dtype=np.float32)
    return Sample(index, face.key, face.identity, jpeg, points, confidence, code)
