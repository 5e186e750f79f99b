"""Small ICC profiles of version 2, and what colors in them are in sRGB, computed in float64."""

from __future__ import annotations

import struct

import numpy as np

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))  # red, green, blue; the white is D65
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
PROPHOTO = ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105))  # its white is D50
ADOBE_GAMMA, PROPHOTO_GAMMA = 563 / 256, 461 / 256
D50, D65 = (0.34567, 0.35850), (0.31271, 0.32902)
PCS = np.array([0.9642, 1.0, 0.8249])


def xyz(point: tuple[float, float]) -> np.ndarray:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def adaptation(white: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Bradford's."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.linalg.inv(cone) @ np.diag((cone @ to) / (cone @ white)) @ cone


def to_pcs(primaries: tuple, white: tuple[float, float] = D65) -> np.ndarray:
    """From linear RGB to XYZ under D50."""
    columns = np.stack([xyz(point) for point in primaries], axis=1)
    return adaptation(xyz(white), PCS) @ (columns * np.linalg.solve(columns, xyz(white)))


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode_srgb(levels: np.ndarray) -> np.ndarray:
    values = np.asarray(levels) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def in_srgb(linear: np.ndarray, primaries: tuple, white: tuple[float, float] = D65) -> np.ndarray:
    """Linear colors (..., 3) of some primaries as levels (not rounded) of sRGB."""
    return encode_srgb(linear @ (np.linalg.inv(to_pcs(SRGB)) @ to_pcs(primaries, white)).T)


def lab_in_srgb(lab: np.ndarray) -> np.ndarray:
    """CIELAB under D50 as levels of sRGB."""
    light, a, b = np.moveaxis(np.asarray(lab, dtype=np.float64), -1, 0)
    y = (light + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    values = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * PCS
    return encode_srgb(values @ np.linalg.inv(to_pcs(SRGB)).T)


def fixed(values) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def srgb_curve() -> bytes:
    levels = (decode_srgb(np.linspace(0, 255, 1024)) * 65535).round().astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + levels.tobytes()


def profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + fixed(PCS),
        **tags,
    }
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(data)
    head = struct.pack(">I4xI", size, 0x02100000) + kind + space + pcs + bytes(12) + b"acsp" + bytes(28) + fixed(PCS)
    return head.ljust(128, b"\0") + table + data


def rgb_profile(primaries: tuple, curve: bytes, white: tuple[float, float] = D65) -> bytes:
    columns = to_pcs(primaries, white).T
    named = zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    tags = {name: b"XYZ " + bytes(4) + fixed(column) for name, column in named}
    return profile(b"mntr", b"RGB ", b"XYZ ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(curve: bytes) -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def cmyk_profile(lab: np.ndarray) -> bytes:
    """Inks whose corners (2, 2, 2, 2, 3), from none to all, have these CIELAB colors."""
    levels = np.asarray(lab) * [2.55, 1, 1] + [0, 128, 128]
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel()) + ramp * 4
    table += levels.round().clip(0, 255).astype(np.uint8).tobytes() + ramp * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})
