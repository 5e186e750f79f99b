"""An ICC profile from primaries, a white point and a curve, for files that give these instead of one.

Reference: ICC.1:2010; Lindbloom 2017, brucelindbloom.com, for the matrices.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

D50 = np.array([0.9642, 1.0, 0.8249])  # white of all profiles
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # exponent, a, b, c, d of ICC's third form


@dataclass(frozen=True)
class Primaries:
    """Chromaticities x, y of the CIE 1931 observer."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


D65 = (0.3127, 0.3290)
SRGB = Primaries(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = Primaries(D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BT2020 = Primaries(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))


def matrix_profile(primaries: Primaries, exponent: float | None = None) -> bytes:
    """A profile of version 4.

    Args:
        primaries: of the display.
        exponent: linear light is the stored value to this power; ``None`` for sRGB's curve.

    Raises:
        ValueError: the chromaticities are those of no display.
    """
    curve = _curve(0, (exponent,)) if exponent else _curve(3, SRGB_CURVE)
    red, green, blue = (_xyz(column) for column in to_d50(primaries).T)
    tags = {
        b"desc": _text("photograph"), b"cprt": _text("public domain"), b"wtpt": _xyz(D50), b"rXYZ": red, b"gXYZ": green,
        b"bXYZ": blue, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", start + len(data), 0x04200000, b"mntr", b"RGB ", b"XYZ ", b"acsp", *_fixed(D50)
    )
    return head + table + data


def to_d50(primaries: Primaries) -> Float[np.ndarray, "3 3"]:
    """From linear RGB to XYZ under D50.

    Raises:
        ValueError: see `matrix_profile`.
    """
    points = np.array([primaries.red, primaries.green, primaries.blue, primaries.white], dtype=np.float64)
    if not (points[:, 1] > 1e-4).all() or not (points.sum(axis=1) <= 1.001).all():
        raise ValueError(f"no display has {primaries}")
    red, green, blue, white = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)], axis=1) / points[:, 1:]
    columns = np.stack([red, green, blue], axis=1)
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ValueError(f"no display has {primaries}")
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ white)) @ BRADFORD
    return adapted @ columns * np.linalg.solve(columns, white)


def _fixed(values: np.ndarray | tuple[float, ...]) -> list[int]:
    return [round(float(value) * 65536) for value in values]


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *_fixed(values))


def _curve(form: int, parameters: tuple[float, ...]) -> bytes:
    return b"para" + struct.pack(f">4xHxx{len(parameters)}i", form, *_fixed(parameters))


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(coded), 28) + coded
