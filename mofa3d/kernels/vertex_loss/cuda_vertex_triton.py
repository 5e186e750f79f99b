"""Pose and light of vertices in Triton: what the kernels of `mofa3d.kernels.vertex_loss.cuda_triton` are made of.

Vectors are tuples of three, matrices tuples of three rows.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from mofa3d.harmonics import AMBIENT

# Where the numbers of an image begin: its rotation, then these.
TRANSLATION, LIGHT = tl.constexpr(3), tl.constexpr(6)

EVEN = tl.constexpr(AMBIENT)
# Factors of the nine functions of `mofa3d.harmonics`.
LINEAR, PRODUCT = tl.constexpr(2 / math.sqrt(3)), tl.constexpr(math.sqrt(15) / 4)
HALF_PRODUCT, ZONAL = tl.constexpr(math.sqrt(15) / 8), tl.constexpr(math.sqrt(5) / 8)

SMALL = tl.constexpr(1e-2)  # radians, below which series are used


@triton.jit
def light_functions(x, y, z):
    """The nine functions of `mofa3d.harmonics`."""
    return (
        tl.full(x.shape, 1.0, tl.float32), LINEAR * y, LINEAR * z, LINEAR * x, PRODUCT * (x * y), PRODUCT * (y * z),
        ZONAL * (3 * z * z - 1), PRODUCT * (x * z), HALF_PRODUCT * (x * x - y * y),
    )  # fmt: skip


@triton.jit
def normal_gradient(x, y, z, given, by_light):
    """The gradient of a normal, given that of the light in each channel."""
    along_y, along_z, along_x = _of_band(1, given, by_light), _of_band(2, given, by_light), _of_band(3, given, by_light)
    xy, yz, zz = _of_band(4, given, by_light), _of_band(5, given, by_light), _of_band(6, given, by_light)
    xz, xx = _of_band(7, given, by_light), _of_band(8, given, by_light)
    return (
        LINEAR * along_x + PRODUCT * (xy * y + xz * z + xx * x),
        LINEAR * along_y + PRODUCT * (xy * x + yz * z - xx * y),
        LINEAR * along_z + PRODUCT * (yz * y + xz * x) + (6 * ZONAL) * zz * z,
    )


@triton.jit
def _of_band(band, given, by_light):
    """The gradient of one of the nine functions."""
    red, green, blue = load_vector(given + LIGHT + 3 * band, 0, 1)
    return red * by_light[0] + green * by_light[1] + blue * by_light[2]


@triton.jit
def rotation_matrix(given):
    """R = exp(rotation) in rows."""
    x, y, z = load_vector(given, 0, 1)
    half = 0.5 * tl.sqrt(x * x + y * y + z * z)
    # The unit quaternion.
    w, factor = tl.cos(half), 0.5 * sinc(half)
    x, y, z = factor * x, factor * y, factor * z
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


@triton.jit
def sinc(angle):
    """sin(angle) / angle."""
    safe = at_least(angle, SMALL)
    return tl.where(angle < SMALL, 1 - angle * angle / 6, tl.sin(safe) / safe)


@triton.jit
def to_camera(vector, rotation):
    """Turn a model-space vector into camera space."""
    x, y, z = vector
    # Points are rows: times R is R⁻¹.
    return (
        x * rotation[0][0] + y * rotation[1][0] + z * rotation[2][0],
        x * rotation[0][1] + y * rotation[1][1] + z * rotation[2][1],
        x * rotation[0][2] + y * rotation[1][2] + z * rotation[2][2],
    )


@triton.jit
def to_model(vector, rotation):
    """Turn a camera-space vector into model space."""
    x, y, z = vector
    return (
        rotation[0][0] * x + rotation[0][1] * y + rotation[0][2] * z,
        rotation[1][0] * x + rotation[1][1] * y + rotation[1][2] * z,
        rotation[2][0] * x + rotation[2][1] * y + rotation[2][2] * z,
    )


@triton.jit
def project(point, rotation, translation, focal, rest_distance, size):
    """Pixels of a model-space point."""
    x, y, z = to_camera(minus(point, translation), rotation)
    scale = focal / (rest_distance - z)
    return 0.5 * size + scale * x, 0.5 * size - scale * y


@triton.jit
def unproject(by_u, by_v, px, py, depth, scale):
    """The gradient of a camera-space position, given that of its pixel."""
    x, y = scale * by_u, -scale * by_v
    return x, y, (x * px + y * py) / depth


@triton.jit
def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@triton.jit
def minus(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@triton.jit
def at_least(value, bound):
    """The larger of both; NaN stays, which `tl.maximum` drops."""
    return tl.where(value < bound, bound, value)


@triton.jit
def load_vector(rows, i, stride):
    return tl.load(rows + i), tl.load(rows + stride + i), tl.load(rows + 2 * stride + i)
