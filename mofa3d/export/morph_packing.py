"""Morph targets in few bytes: only what moves visibly, in 16 and 8 bits.

A unit of expression moves a third of a face, and of the rest a hundredth of a millimetre that its code of principal
components leaves. Sparse accessors keep the vertices that move; whole numbers with `KHR_mesh_quantization` keep them
in a third of the bytes of floats. Blender and three.js read both (`tests/export/test_other_programs.py`); other
programs were not tried.

Reference: Khronos Group, glTF 2.0 Specification, 3.6.2.3 (sparse accessors), and KHR_mesh_quantization.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

QUANTIZATION = "KHR_mesh_quantization"
STILL = 0.12e-3  # metres below which a vertex counts as still
STILL_SHARE = 0.02  # of a target's largest displacement, where that is less: small columns add up
UNTURNED = 0.03  # change of a normal below which it counts as none; 1.7°


class PackedVectors(NamedTuple):
    """The vectors that are not zero, as whole numbers.

    Attributes:
        rows: their numbers, increasing.
        values: as normalised numbers of their type; the largest means 1.
    """

    rows: Int[np.ndarray, "R"]
    values: Integer[np.ndarray, "R 3"]


def pack_displacements(metres: Float[np.ndarray, "M 3"]) -> PackedVectors:
    """Displacements in 16 bits, steps of 0.03 mm up to a metre."""
    lengths = np.linalg.norm(metres, axis=1)
    return _packed(metres, lengths >= min(STILL, STILL_SHARE * lengths.max(initial=0.0)), np.int16)


def pack_normals(changes: Float[np.ndarray, "M 3"]) -> PackedVectors:
    """Changes of unit normals in 8 bits; a turn by more than 60° is cut off at a change of 1."""
    return _packed(changes, np.abs(changes).max(axis=1) >= UNTURNED, np.int8)


def _packed(values: Float[np.ndarray, "M 3"], kept: np.ndarray, kind: type) -> PackedVectors:
    whole: np.ndarray = np.round(values.astype(np.float64).clip(-1, 1) * np.iinfo(kind).max).astype(kind)
    # A sparse accessor has to have one vector at least.
    rows = np.flatnonzero(kept & whole.any(axis=1)) if len(whole) else np.zeros(0, dtype=np.int64)
    rows = rows if len(rows) else np.zeros(1, dtype=np.int64)
    return PackedVectors(rows, whole[rows])
