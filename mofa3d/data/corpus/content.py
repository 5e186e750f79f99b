"""What the files of a corpus hold, looked at once when it is opened.

Functions raise InputError with the name of the file and the reason; callers say what to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from mofa3d.errors import InputError
from mofa3d.files.given import check_file, naming_file, read_arrays, read_json
from mofa3d.numeric_options import check_kinds

MOST_KEYS = 4_000_000_000  # bytes of the table of photographs: some ten million
FARTHEST = 1e6  # pixels from a crop's corner at which a landmark can lie
COUNTS = ("photographs", "faces", "duplicates", "photographs without a face")


@dataclass(frozen=True)
class Index:
    """Where the faces of a corpus lie, and what is known about them.

    Attributes:
        place: number of the shard, offset and size of the crop.
        landmarks: px.
        confidence: 0 to 1.
        held_out: for validation.
        codes: of synthetic faces.
    """

    place: Int[np.ndarray, "K 3"]
    landmarks: Float[np.ndarray, "K 68 2"]
    confidence: Float[np.ndarray, "K 68"]
    held_out: Bool[np.ndarray, "K"]
    codes: Float[np.ndarray, "K D"] | None


def read_summary(path: Path) -> dict:
    """Raises InputError for what is no summary of a corpus; its format may be another."""
    with naming_file(path):
        summary = read_json(path)
        if not isinstance(summary, dict):
            raise InputError(f"expected names and values, got a {type(summary).__name__}")
        counts = summary.get("counts")
        if not isinstance(counts, dict) or not isinstance(removed := counts.get("removed"), dict):
            raise InputError("it has no counts")
        try:
            check_kinds({**{name: counts.get(name) for name in COUNTS}, **removed}, int)
        except TypeError as error:
            raise InputError(str(error)) from None
        return summary


def read_keys(path: Path) -> tuple[list[str], list[str]]:
    """Names of the photographs and of the people on them.

    Raises:
        InputError: it is missing, or a line is no pair of texts.
    """
    photos, identities = [], []
    with naming_file(path):
        check_file(path, MOST_KEYS)
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    photo, identity = json.loads(line)
                    if not (isinstance(photo, str) and isinstance(identity, str)):
                        raise TypeError(f"got {line[:60]!r}")
                except (ValueError, TypeError, RecursionError) as error:  # of json
                    raise InputError(f"line {number} is not a pair of photograph and person ({error})") from None
                photos.append(photo)
                identities.append(identity)
        if not photos:
            raise InputError("it names no photograph")
    return photos, identities


def read_index(path: Path, count: int) -> Index:
    """Places and points of the faces.

    Args:
        count: how many there are.

    Raises:
        InputError: an array is missing, of another type or shape, or holds what no corpus does.
    """
    with naming_file(path):
        arrays = read_arrays(path)
        shapes = {"place": (3,), "landmarks": (68, 2), "confidence": (68,), "held_out": ()}
        kinds = {"place": np.int64, "landmarks": np.float32, "confidence": np.float32, "held_out": np.bool_}
        if "codes" in arrays:
            shapes["codes"], kinds["codes"] = arrays["codes"].shape[1:2], np.float32
        for name, shape in shapes.items():
            if name not in arrays:
                raise InputError(f"it has no {name!r}")
            array, expected = arrays[name], (count, *shape)
            if array.dtype != kinds[name] or array.shape != expected:
                raise InputError(
                    f"{name!r} is {array.dtype} of the shape {array.shape}, expected {np.dtype(kinds[name])} of the "
                    f"shape {expected}"
                )
        if not (np.abs(arrays["landmarks"]) <= FARTHEST).all():
            raise InputError("'landmarks' has values that cannot be pixel coordinates")
        if not ((arrays["confidence"] >= 0) & (arrays["confidence"] <= 1)).all():
            raise InputError("'confidence' has values outside 0 to 1")
        if "codes" in arrays and not np.isfinite(arrays["codes"]).all():
            raise InputError("'codes' has values that are NaN or infinite")
        place, landmarks, confidence, held_out = (arrays[name] for name in list(shapes)[:4])
        return Index(place, landmarks, confidence, held_out, arrays.get("codes"))


def check_places(folder: Path, place: Int[np.ndarray, "K 3"]) -> None:
    """Refuse places of crops outside the shards.

    Args:
        folder: of the shards.

    Raises:
        InputError: a shard is missing or too short, with its name.
    """
    for number in np.unique(place[:, 0]).tolist():
        path = folder / f"{number:06d}.tar"
        _, offset, size = place[place[:, 0] == number].T
        with naming_file(path):
            length = check_file(path)
            if offset.min() < 0 or size.min() < 1 or (offset > length - size).any():
                raise InputError(f"it has {length} bytes, and crops would lie beyond its ends")
