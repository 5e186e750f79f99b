"""Numba kernels of `mofa3d.export.photo_texture`: one call does a band of texels and releases the GIL.

A texture has a million texels: in a dozen passes over all of them, most of the time is spent waiting for memory.
All numbers are float32, whole numbers int64, bytes uint8: with one signature, they compile once.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mofa3d.kernels.compiled import compiled

# Not "nnan" and "ninf": positions that are not finite must fail every comparison.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}


@njit(inline="always")
def _clip(value, most):
    """From 0 to `most`; NaN becomes 0."""
    value = value if value > 0 else most - most
    return value if value < most else most


@compiled(**_OPTIONS)
def see(corners, shares, surface, light, camera, to_photo, limits, zbuf, photo, colors, weights):
    """Fill `colors` (T, 3) and `weights` (T,) with what a photograph shows at T points of a surface.

    That is `mofa3d.fitting.delighting.delight` of what is `unoccluded`, with colors of 0 where the weight is 0.

    Args:
        corners, shares: (T, 3) vertices around each point, and how much each of them counts.
        surface: (N, 6) positions and normals of the vertices, camera space.
        light: (10, 3), see `mofa3d.harmonics.polynomial`.
        camera: half its image, focal length, rest distance, pixels of `zbuf` per pixel of its image, and mm that a
            point may lie behind what a pixel of `zbuf` shows.
        to_photo: the six numbers that take (x, y, 1) of the camera's pixels to the photograph's.
        limits: LEAST_COSINE, DARKEST_LIGHT, SATURATED and BRIGHTEST of `delighting`.
        zbuf: (Z, Z) distance from the camera's plane of what each pixel shows, mm; negative where it shows nothing.
        photo: (H, W, 3).
    """
    half, focal, rest_distance, finer, tolerance = camera
    ax, bx, cx, ay, by, cy = to_photo
    least_cosine, darkest, saturated, brightest = limits
    zero, centre, byte = half - half, np.float32(0.5), np.float32(255)
    height, width = np.float32(photo.shape[0]), np.float32(photo.shape[1])
    last_row, last_column = photo.shape[0] - 1, photo.shape[1] - 1
    below, beside = np.float32(zbuf.shape[0] - 1), np.float32(zbuf.shape[1] - 1)
    for t in range(len(corners)):
        weights[t] = colors[t, 0] = colors[t, 1] = colors[t, 2] = zero
        a, b, c = corners[t, 0], corners[t, 1], corners[t, 2]
        wa, wb, wc = shares[t, 0], shares[t, 1], shares[t, 2]
        x = wa * surface[a, 0] + wb * surface[b, 0] + wc * surface[c, 0]
        y = wa * surface[a, 1] + wb * surface[b, 1] + wc * surface[c, 1]
        depth = rest_distance - (wa * surface[a, 2] + wb * surface[b, 2] + wc * surface[c, 2])
        nx = wa * surface[a, 3] + wb * surface[b, 3] + wc * surface[c, 3]
        ny = wa * surface[a, 4] + wb * surface[b, 4] + wc * surface[c, 4]
        nz = wa * surface[a, 5] + wb * surface[b, 5] + wc * surface[c, 5]
        square = nx * nx + ny * ny + nz * nz
        cosine = (nz * depth - nx * x - ny * y) / math.sqrt(square * (x * x + y * y + depth * depth))
        if not cosine > least_cosine:
            continue
        px, py = half + focal / depth * x, half - focal / depth * y
        nearest = zbuf[int(_clip(finer * py, below)), int(_clip(finer * px, beside))]
        if nearest >= zero and not depth < nearest + tolerance:
            continue
        u, v = ax * px + bx * py + cx, ay * px + by * py + cy
        if not (zero <= u <= width and zero <= v <= height):
            continue
        u, v = _clip(u - centre, width - 1), _clip(v - centre, height - 1)
        column, row = int(u), int(v)
        right, under = min(column + 1, last_column), min(row + 1, last_row)
        u, v = u - np.float32(column), v - np.float32(row)
        length = math.sqrt(square)
        nx, ny, nz = nx / length, ny / length, nz / length
        most, least, lightest = zero, brightest, zero
        for channel in range(3):
            first, second = np.float32(photo[row, column, channel]), np.float32(photo[row, right, channel])
            third, fourth = np.float32(photo[under, column, channel]), np.float32(photo[under, right, channel])
            upper, lower = first + u * (second - first), third + u * (fourth - third)
            seen = (upper + v * (lower - upper)) / byte
            irradiance = (
                light[0, channel] + light[1, channel] * nx + light[2, channel] * ny + light[3, channel] * nz
                + light[4, channel] * (nx * nx) + light[5, channel] * (ny * ny) + light[6, channel] * (nz * nz)
                + light[7, channel] * (nx * ny) + light[8, channel] * (ny * nz) + light[9, channel] * (nx * nz)
            )  # fmt: skip
            color = seen / irradiance
            most, least, lightest = max(most, seen), min(least, irradiance), max(lightest, color)
            colors[t, channel] = color
        if least > darkest and most < saturated and lightest < brightest:
            weights[t] = min(cosine, byte / byte)
        else:
            colors[t, 0] = colors[t, 1] = colors[t, 2] = zero


@compiled(**_OPTIONS)
def blend(corners, shares, filled, colors, mix, knee, texture):
    """Fill `texture` (T, 3) with the colors of points where `mix` is 1, and with those of the vertices where it is 0.

    Args:
        corners, shares: see `see`.
        filled: (N, 3) display RGB of the vertices.
        colors: (T, 3) display RGB.
        mix: (T,) 0 to 1.
        knee: display RGB above which colors are pressed together, below 1.
    """
    one = knee / knee
    room, byte, half = one - knee, np.float32(255), np.float32(0.5)
    for t in range(len(corners)):
        share = mix[t]
        red, green, blue = share * colors[t, 0], share * colors[t, 1], share * colors[t, 2]
        if share < one:
            for corner in range(3):
                index, part = corners[t, corner], (one - share) * shares[t, corner]
                red += part * filled[index, 0]
                green += part * filled[index, 1]
                blue += part * filled[index, 2]
        brightest = max(red, green, blue)
        if brightest > knee:
            factor = (knee + room * (one - math.exp((knee - brightest) / room))) / brightest
            red, green, blue = factor * red, factor * green, factor * blue
        texture[t, 0] = np.uint8(_clip(byte * red + half, byte))
        texture[t, 1] = np.uint8(_clip(byte * green + half, byte))
        texture[t, 2] = np.uint8(_clip(byte * blue + half, byte))
