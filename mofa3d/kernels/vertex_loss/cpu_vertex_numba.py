"""Pose and light of one vertex in several images, and their derivatives: what the numba kernels of losses are made of.

Every number is a row of `mofa3d.kernels.simd`, one number per image, and every array has such rows: ``given`` has pose
and light, ``sums`` their gradients in the same places.
"""

from __future__ import annotations

import math

import numpy as np

from mofa3d.harmonics import AMBIENT
from mofa3d.kernels.compiled import compiled
from mofa3d.kernels.simd import load, store

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

# Rows of `given` and of `sums`.
ROTATION, TRANSLATION, LIGHT = 0, 9, 12

_F = np.float32
ONE, HALF, THREE, SIX, EVEN = _F(1), _F(0.5), _F(3), _F(6), _F(AMBIENT)
# Factors of the nine functions of `mofa3d.harmonics`.
LINEAR, PRODUCT, ZONAL = _F(2 / math.sqrt(3)), _F(math.sqrt(15) / 4), _F(math.sqrt(5) / 8)


@compiled(**OPTIONS)
def add(rows, at, value):
    store(rows, at, load(rows, at) + value)


@compiled(**OPTIONS)
def load_vector(rows, at):
    return load(rows, at), load(rows, at + 1), load(rows, at + 2)


@compiled(**OPTIONS)
def from_origin(vertex, given):
    """From the camera-space origin to a vertex, in model space."""
    x, y, z = load_vector(given, TRANSLATION)
    return vertex[0] - x, vertex[1] - y, vertex[2] - z


@compiled(**OPTIONS)
def to_camera(vector, given):
    """Turn a model-space vector into camera space."""
    x, y, z = vector
    # Points are rows: times R is R⁻¹.
    return (
        x * load(given, ROTATION) + y * load(given, ROTATION + 3) + z * load(given, ROTATION + 6),
        x * load(given, ROTATION + 1) + y * load(given, ROTATION + 4) + z * load(given, ROTATION + 7),
        x * load(given, ROTATION + 2) + y * load(given, ROTATION + 5) + z * load(given, ROTATION + 8),
    )


@compiled(**OPTIONS)
def turn_back(vector, gradient, given, sums):
    """Add to the rotation's gradient, and return the vector's, given that of what `to_camera` made of it."""
    (x, y, z), (gx, gy, gz) = vector, gradient
    add(sums, ROTATION, x * gx)
    add(sums, ROTATION + 1, x * gy)
    add(sums, ROTATION + 2, x * gz)
    add(sums, ROTATION + 3, y * gx)
    add(sums, ROTATION + 4, y * gy)
    add(sums, ROTATION + 5, y * gz)
    add(sums, ROTATION + 6, z * gx)
    add(sums, ROTATION + 7, z * gy)
    add(sums, ROTATION + 8, z * gz)
    return (
        load(given, ROTATION) * gx + load(given, ROTATION + 1) * gy + load(given, ROTATION + 2) * gz,
        load(given, ROTATION + 3) * gx + load(given, ROTATION + 4) * gy + load(given, ROTATION + 5) * gz,
        load(given, ROTATION + 6) * gx + load(given, ROTATION + 7) * gy + load(given, ROTATION + 8) * gz,
    )


@compiled(**OPTIONS)
def move_back(vector, gradient, given, sums):
    """The same for a position, whose way from the camera-space origin is `vector`: the translation moves it too."""
    gx, gy, gz = turn_back(vector, gradient, given, sums)
    add(sums, TRANSLATION, -gx)
    add(sums, TRANSLATION + 1, -gy)
    add(sums, TRANSLATION + 2, -gz)
    return gx, gy, gz


@compiled(**OPTIONS)
def irradiance(normal, given, channel):
    """See `mofa3d.harmonics.irradiance`."""
    x, y, z = normal
    at = LIGHT + channel
    return (
        EVEN + load(given, at)
        + LINEAR * (load(given, at + 3) * y + load(given, at + 6) * z + load(given, at + 9) * x)
        + PRODUCT * (load(given, at + 12) * (x * y) + load(given, at + 15) * (y * z) + load(given, at + 21) * (x * z))
        + ZONAL * load(given, at + 18) * (THREE * z * z - ONE)
        + (HALF * PRODUCT) * load(given, at + 24) * (x * x - y * y)
    )  # fmt: skip


@compiled(**OPTIONS)
def irradiance_back(normal, gradient, given, sums, channel):
    """Add to the light's gradient, and return the normal's, given that of a channel's irradiance."""
    x, y, z = normal
    g, at = gradient, LIGHT + channel
    add(sums, at, g)
    add(sums, at + 3, g * LINEAR * y)
    add(sums, at + 6, g * LINEAR * z)
    add(sums, at + 9, g * LINEAR * x)
    add(sums, at + 12, g * PRODUCT * (x * y))
    add(sums, at + 15, g * PRODUCT * (y * z))
    add(sums, at + 18, g * ZONAL * (THREE * z * z - ONE))
    add(sums, at + 21, g * PRODUCT * (x * z))
    add(sums, at + 24, g * (HALF * PRODUCT) * (x * x - y * y))
    along_y, along_z, along_x = load(given, at + 3), load(given, at + 6), load(given, at + 9)
    xy, yz, zz = load(given, at + 12), load(given, at + 15), load(given, at + 18)
    xz, xx = load(given, at + 21), load(given, at + 24)
    return (
        g * (LINEAR * along_x + PRODUCT * (xy * y + xz * z + xx * x)),
        g * (LINEAR * along_y + PRODUCT * (xy * x + yz * z - xx * y)),
        g * (LINEAR * along_z + PRODUCT * (yz * y + xz * x) + (ZONAL * SIX) * zz * z),
    )
