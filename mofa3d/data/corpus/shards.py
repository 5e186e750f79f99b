"""WebDataset shards: .tar files of ``000000042.jpg`` and ``000000042.json``, the same bytes for the same faces.

Any WebDataset reader takes them. Here members are found by their offsets, so that a corpus can be read in any order
without unpacking anything.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from PIL import Image

from mofa3d.data.photo import Photo
from mofa3d.errors import InputError
from mofa3d.files.whole import whole_file

SHARDS = "shards"  # folder of a corpus
SIZES = "sizes.json"  # in it: how many faces each shard has, as other programs of WebDataset write it too
JPEG_QUALITY = 95
LARGEST = 4096  # pixels along the sides of a crop
MOST_SAID = 1_000_000  # bytes about a face
FARTHEST = 1e6  # of anything that is measured in pixels, degrees or standard deviations
_SEEKING = Lock()


@dataclass(frozen=True)
class Face:
    """What a shard says about one face, beside its crop.

    Attributes:
        key: of the photograph (see `mofa3d.data.sources`), and ``/1``, ``/2``, ... for its further faces.
        identity: who it shows, see `mofa3d.data.corpus.split`.
        left, top, scale, roll: see `mofa3d.data.crop_transform.CropTransform`; the crop can be put back with them.
        landmarks: 68 points, pixels of the crop, or ``None``.
        confidence: 68 numbers in 0 to 1, or ``None``.
        given: the points came from a table.
        yaw: degrees, if landmarks are known.
        hash: see `mofa3d.data.corpus.prune.perceptual_hash`.
        code: the true semantic code of a synthetic face.
        dense: the 478 points of `mofa3d.data.face_landmarker` with their depth, pixels of the crop, or ``None``.
        expression: the 52 scores of `mofa3d.data.face_landmarker.EXPRESSION_NAMES`, or ``None``.
    """

    key: str
    identity: str
    left: float = 0.0
    top: float = 0.0
    scale: float = 1.0
    landmarks: list[list[float]] | None = None
    confidence: list[float] | None = None
    given: bool = False
    yaw: float | None = None
    hash: int = 0
    code: list[float] | None = None
    roll: float = 0.0
    dense: list[list[float]] | None = None
    expression: list[float] | None = None


def checked(face: Face) -> Face:
    """The face; raises InputError or TypeError for what no face can be."""
    points, trust = face.landmarks or [], face.confidence or []
    dense, scores = face.dense or [], face.expression or []
    numbers = [face.left, face.top, face.scale, face.roll, face.yaw or 0]
    numbers += [value for point in (*points, *dense) for value in point]
    texts = (face.key, face.identity)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"a face has the key and the identity {texts}, expected texts")
    for value in (*numbers, *trust, *scores, *(face.code or [])):
        if not isinstance(value, int | float) or not abs(value) <= FARTHEST:  # which NaN is not either
            raise InputError(f"the face of {face.key!r} has {value!r} where a finite number should be")
    if len(points) not in (0, 68) or len(trust) != len(points) or any(len(point) != 2 for point in points):
        raise InputError(f"the face of {face.key!r} has {len(points)} points and {len(trust)} confidences, expected 68")
    if not all(0 <= value <= 1 for value in (*trust, *scores)):
        raise InputError(f"the face of {face.key!r} has confidences or scores outside 0 to 1")
    if len(dense) not in (0, 478) or any(len(point) != 3 for point in dense) or len(scores) not in (0, 52):
        raise InputError(
            f"the face of {face.key!r} has {len(dense)} dense points and {len(scores)} scores, expected 478 and 52"
        )
    if not isinstance(face.hash, int) or not 0 <= face.hash < 2**64:
        raise InputError(f"the face of {face.key!r} has the hash {face.hash!r}, expected 64 bits")
    return face


def encode_crop(crop: Photo, quality: int = JPEG_QUALITY) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    # Color at full resolution: lips and eyes are a few pixels, and their color is what training compares.
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", crop[..., ::-1], options)
    if not done:
        raise InputError("a crop could not be encoded as JPEG")
    return data.tobytes()


def decode_crop(data: bytes | memoryview) -> Photo:
    """Raises InputError for what is no image, or one that is larger than any crop."""
    problem = "a crop in a shard is damaged; delete the shard and prepare again"
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
            size = header.size
    except Exception as error:  # Pillow raises what the damaged bytes lead to
        raise InputError(problem) from error
    if max(size) > LARGEST:
        raise InputError(f"{problem} (it says that it has {size[0]}×{size[1]} pixels, and {LARGEST} are the most)")
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(problem)
    return np.ascontiguousarray(image[..., ::-1])


def write_shard(path: Path, faces: Iterable[tuple[Face, bytes]]) -> int:
    """Write faces with their JPEG crops, atomically and without times or owners; returns how many."""
    count = 0
    with whole_file(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for count, (face, jpeg) in enumerate(faces, start=1):
            name = f"{count - 1:09d}"
            sidecar = {key: value for key, value in asdict(face).items() if value is not None}
            _add(archive, f"{name}.jpg", jpeg)
            _add(archive, f"{name}.json", json.dumps(sidecar, sort_keys=True).encode())
    return count


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))


def read_shard(path: Path) -> Iterator[tuple[Face, int, int]]:
    """Faces of a shard with offset and size of each one's JPEG crop.

    Raises:
        InputError: the shard is missing, damaged, or not one of ours.
    """
    try:
        with tarfile.open(path, "r:") as archive:  # never one that unpacks to any size
            crop = None
            for member in archive:
                if member.name.endswith(".jpg"):
                    crop = (member.offset_data, member.size)
                elif member.name.endswith(".json") and crop is not None:
                    if not member.isreg() or member.size > MOST_SAID:
                        raise InputError(f"{member.name} has {member.size} bytes, and {MOST_SAID} are allowed")
                    yield checked(Face(**json.load(archive.extractfile(member)))), *crop
                    crop = None
    except Exception as error:  # damaged bytes lead tarfile to errors of any kind
        raise InputError(f"{path} is not a readable shard ({error}); delete it and prepare the corpus again") from None


def read_about(read: Callable[[int, int], bytes], offset: int, size: int) -> Face:
    """What a shard says about the face whose crop has this offset and size.

    Args:
        read: gives bytes of the shard at an offset, of a size.
        offset, size: of the crop.

    Raises:
        InputError: there is nothing of the kind.
    """
    header_at = offset + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    try:
        member = tarfile.TarInfo.frombuf(read(header_at, tarfile.BLOCKSIZE), "utf-8", "strict")
        if not member.isreg() or member.size > MOST_SAID:
            raise InputError(f"{member.name} has {member.size} bytes, and {MOST_SAID} are allowed")
        return checked(Face(**json.loads(read(header_at + tarfile.BLOCKSIZE, member.size))))
    except (tarfile.TarError, ValueError, TypeError, RecursionError) as error:  # of json, and of Face()
        raise InputError(f"what its shard says about a face is damaged ({error}); prepare the corpus again") from None


def open_to_read(path: Path) -> int:
    """The handle of a file for `read_at`, to be closed with `os.close`."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # Windows would read text


def read_at(file: int, size: int, offset: int) -> bytes:
    """Bytes of an open file, which several threads may read at once."""
    if hasattr(os, "pread"):
        return os.pread(file, size, offset)
    with _SEEKING:  # Windows can only move the one place of a handle
        os.lseek(file, offset, os.SEEK_SET)
        return os.read(file, size)
