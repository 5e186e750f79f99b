"""Rules that leave faces out of a corpus: what training could not learn from, or would learn wrongly from.

Each rule has a number that can be measured on the face itself, and a limit. Duplicates are found over the whole corpus
(`find_duplicates`), all others on each face alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt64

from mofa3d.data.photo import LEAST_COLOR, Photo
from mofa3d.errors import InputError
from mofa3d.numeric_options import check_numbers

HASH_SIDE, HASH_WORK = 8, 32
BANDS = 4  # of 16 bits: hashes that differ in at most 3 bits agree in one of them


@dataclass(frozen=True)
class Limits:
    """Conditions that a face must meet to be kept; a measure that is unknown does not reject a face.

    Attributes:
        min_size: smallest side of the face's square, in pixels of the photograph.
        min_sharpness: smallest sharpness, as measured by `mofa3d.data.corpus.prune.sharpness`.
        min_color: smallest colorfulness, as measured by `mofa3d.data.photo.colorfulness`.
        max_turn: largest yaw to either side, in degrees.
        min_agreement: smallest overlap (intersection over union) of the face's box with dlib's, if dlib finds a face.
        duplicate_bits: images whose hashes differ in at most this many bits are duplicates, at most 3; -1 keeps
            duplicates.
    """

    min_size: float = 32.0
    min_sharpness: float = 0.002
    min_color: float = LEAST_COLOR
    max_turn: float = 60.0
    min_agreement: float = 0.3
    duplicate_bits: int = 2

    def __post_init__(self) -> None:
        if not -1 <= self.duplicate_bits < BANDS:
            raise InputError(f"duplicate_bits must be from -1 to {BANDS - 1}, got {self.duplicate_bits}")
        check_numbers(self)


@dataclass(frozen=True)
class Measures:
    """What the rules ask about; ``None`` is unknown. See `Limits`."""

    size: float
    sharpness: float
    color: float
    turn: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Broken:
    """A rule that a face breaks: "small", "blurred", "grey", "turned" or "disagreement", and by what."""

    rule: str
    reason: str


def broken_rule(measures: Measures, limits: Limits) -> Broken | None:
    """The first rule that a face breaks, if any."""
    if measures.size < limits.min_size:
        return Broken("small", f"the face is {measures.size:.0f} pixels wide, less than {limits.min_size:g}")
    if measures.sharpness < limits.min_sharpness:
        return Broken("blurred", f"the sharpness is {measures.sharpness:.4f}, less than {limits.min_sharpness:g}")
    if measures.color < limits.min_color:
        return Broken("grey", f"the colorfulness is {measures.color:.4f}, less than {limits.min_color:g}")
    if measures.turn is not None and abs(measures.turn) > limits.max_turn:
        return Broken("turned", f"the head is turned by {abs(measures.turn):.0f}°, more than {limits.max_turn:g}°")
    if measures.agreement is not None and measures.agreement < limits.min_agreement:
        return Broken(
            "disagreement",
            f"the detectors' boxes overlap by {measures.agreement:.2f}, less than {limits.min_agreement:g}",
        )
    return None


def sharpness(crop: Photo) -> float:
    """Energy of the Laplacian over the variance of grey at half size, so that contrast and light do not count.

    A face that was enlarged four times or that moved by a twentieth of its width is near 0.001, a sharp one above 0.01.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(half, cv2.CV_32F, ksize=1).var() / max(half.var(), 1.0))


def perceptual_hash(crop: Photo) -> int:
    """64 bits that stay, all but a few, when an image is scaled, compressed or lit a little differently.

    Signs of the lowest frequencies of the discrete cosine transform against their median (Zauner 2010, "Implementation
    and Benchmarking of Perceptual Image Hash Functions").
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (HASH_WORK, HASH_WORK), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small)[:HASH_SIDE, :HASH_SIDE].ravel()
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")


def find_duplicates(hashes: Iterable[int], bits: int) -> np.ndarray:
    """Which items of a sequence (K,) have an earlier one whose hash differs in at most `bits` of 64 bits.

    A duplicate of a duplicate is one as well. Memory grows with the number of items, time nearly so.

    Raises:
        InputError: more than 3 bits.
    """
    if bits >= BANDS:
        raise InputError(f"bits must be at most {BANDS - 1}, got {bits}")
    values: UInt64[np.ndarray, "K"] = np.fromiter(hashes, dtype=np.uint64)
    duplicate = np.zeros(len(values), dtype=bool)
    if bits < 0:
        return duplicate
    for band in range(BANDS):
        buckets: dict[int, list[int]] = defaultdict(list)
        keys = ((values >> np.uint64(16 * band)) & np.uint64(0xFFFF)).tolist()
        for index, key in enumerate(keys):
            members = buckets[key]
            if members and not duplicate[index]:
                apart = np.bitwise_count(values[members] ^ values[index])
                duplicate[index] = bool((apart <= bits).any())
            members.append(index)
    return duplicate
