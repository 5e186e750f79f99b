"""Numba kernels of `mofa3d.kernels.surface`: one call does one image and releases the GIL.

A surface of 20,000 vertices is a few hundred kilobytes, so one image at a time stays in a core's cache, where whole
batches of every intermediate result would go through memory.
"""

from __future__ import annotations

import math

from numba import njit

from mofa3d.harmonics import AMBIENT
from mofa3d.kernels.compiled import compiled

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

# Factors of the nine functions of `mofa3d.harmonics`.
LINEAR, PRODUCT, ZONAL = 2 / math.sqrt(3), math.sqrt(15) / 4, math.sqrt(5) / 8
SHORTEST = 1e-12  # length of a sum of face normals below which there is no normal


@compiled(**_OPTIONS)
def forward(
    vertices, reflectance, rotation, translation, illumination, faces, focal, half, rest_distance,
    positions, normals, lengths, pixels, colors, front_facing,
):  # fmt: skip
    """Fill positions, normals and colors (N, 3), lengths of the summed face normals (N,), pixels, front_facing."""
    tx, ty, tz = translation[0], translation[1], translation[2]
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0] - tx, vertices[i, 1] - ty, vertices[i, 2] - tz
        for axis in range(3):  # points are rows: times R is R⁻¹
            positions[i, axis] = x * rotation[0, axis] + y * rotation[1, axis] + z * rotation[2, axis]
            normals[i, axis] = 0.0
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = positions[a, 0], positions[a, 1], positions[a, 2]
        ux, uy, uz = positions[b, 0] - ax, positions[b, 1] - ay, positions[b, 2] - az
        vx, vy, vz = positions[c, 0] - ax, positions[c, 1] - ay, positions[c, 2] - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(vertices.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        lengths[i] = max(math.sqrt(x * x + y * y + z * z), SHORTEST)
        x, y, z = x / lengths[i], y / lengths[i], z / lengths[i]
        normals[i, 0], normals[i, 1], normals[i, 2] = x, y, z
        depth = rest_distance - positions[i, 2]
        front_facing[i] = z * depth - x * positions[i, 0] - y * positions[i, 1] > 0
        scale = focal / depth
        pixels[i, 0] = half + scale * positions[i, 0]
        pixels[i, 1] = half - scale * positions[i, 1]
        for channel in range(3):
            colors[i, channel] = reflectance[i, channel] * _irradiance(x, y, z, illumination, channel)


@njit(inline="always")
def _irradiance(x, y, z, illumination, channel):
    return (
        AMBIENT + illumination[0, channel]
        + LINEAR * (illumination[1, channel] * y + illumination[2, channel] * z + illumination[3, channel] * x)
        + PRODUCT * (illumination[4, channel] * x * y + illumination[5, channel] * y * z)
        + ZONAL * illumination[6, channel] * (3 * z * z - 1)
        + PRODUCT * (illumination[7, channel] * x * z + illumination[8, channel] * (x * x - y * y) / 2)
    )  # fmt: skip


@compiled(**_OPTIONS)
def backward(
    vertices, reflectance, rotation, translation, illumination, faces, focal, rest_distance,
    positions, normals, lengths,
    grad_positions, grad_normals, grad_pixels, grad_colors,
    grad_vertices, grad_reflectance, grad_rotation, grad_translation, grad_illumination,
):  # fmt: skip
    """Fill the gradients of the inputs; those of the outputs `grad_positions` and `grad_normals` are used up."""
    for i in range(vertices.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        gx, gy, gz = grad_normals[i, 0], grad_normals[i, 1], grad_normals[i, 2]
        for channel in range(3):
            grad_color = grad_colors[i, channel]
            grad_reflectance[i, channel] = grad_color * _irradiance(x, y, z, illumination, channel)
            g = grad_color * reflectance[i, channel]
            grad_illumination[0, channel] += g
            grad_illumination[1, channel] += g * LINEAR * y
            grad_illumination[2, channel] += g * LINEAR * z
            grad_illumination[3, channel] += g * LINEAR * x
            grad_illumination[4, channel] += g * PRODUCT * x * y
            grad_illumination[5, channel] += g * PRODUCT * y * z
            grad_illumination[6, channel] += g * ZONAL * (3 * z * z - 1)
            grad_illumination[7, channel] += g * PRODUCT * x * z
            grad_illumination[8, channel] += g * PRODUCT / 2 * (x * x - y * y)
            along_x, along_y, along_z = illumination[3, channel], illumination[1, channel], illumination[2, channel]
            xy, yz, xz = illumination[4, channel], illumination[5, channel], illumination[7, channel]
            gx += g * (LINEAR * along_x + PRODUCT * (xy * y + xz * z + illumination[8, channel] * x))
            gy += g * (LINEAR * along_y + PRODUCT * (xy * x + yz * z - illumination[8, channel] * y))
            gz += g * (LINEAR * along_z + PRODUCT * (yz * y + xz * x) + ZONAL * illumination[6, channel] * 6 * z)
        if lengths[i] > SHORTEST:
            along = gx * x + gy * y + gz * z
            gx, gy, gz = (gx - along * x) / lengths[i], (gy - along * y) / lengths[i], (gz - along * z) / lengths[i]
        else:
            gx, gy, gz = gx / lengths[i], gy / lengths[i], gz / lengths[i]
        grad_normals[i, 0], grad_normals[i, 1], grad_normals[i, 2] = gx, gy, gz
        scale = focal / (rest_distance - positions[i, 2])
        horizontal, vertical = scale * grad_pixels[i, 0], -scale * grad_pixels[i, 1]
        grad_positions[i, 0] += horizontal
        grad_positions[i, 1] += vertical
        grad_positions[i, 2] += (horizontal * positions[i, 0] + vertical * positions[i, 1]) * scale / focal
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        gx = grad_normals[a, 0] + grad_normals[b, 0] + grad_normals[c, 0]
        gy = grad_normals[a, 1] + grad_normals[b, 1] + grad_normals[c, 1]
        gz = grad_normals[a, 2] + grad_normals[b, 2] + grad_normals[c, 2]
        ax, ay, az = positions[a, 0], positions[a, 1], positions[a, 2]
        ux, uy, uz = positions[b, 0] - ax, positions[b, 1] - ay, positions[b, 2] - az
        vx, vy, vz = positions[c, 0] - ax, positions[c, 1] - ay, positions[c, 2] - az
        # The face's sum is u × v: its gradients are v × g and g × u.
        bx, by, bz = vy * gz - vz * gy, vz * gx - vx * gz, vx * gy - vy * gx
        cx, cy, cz = gy * uz - gz * uy, gz * ux - gx * uz, gx * uy - gy * ux
        grad_positions[b, 0] += bx
        grad_positions[b, 1] += by
        grad_positions[b, 2] += bz
        grad_positions[c, 0] += cx
        grad_positions[c, 1] += cy
        grad_positions[c, 2] += cz
        grad_positions[a, 0] -= bx + cx
        grad_positions[a, 1] -= by + cy
        grad_positions[a, 2] -= bz + cz
    for i in range(vertices.shape[0]):
        for row in range(3):
            offset = vertices[i, row] - translation[row]
            total = rotation[row, 0] * 0
            for axis in range(3):
                total += rotation[row, axis] * grad_positions[i, axis]
                grad_rotation[row, axis] += offset * grad_positions[i, axis]
            grad_vertices[i, row] = total
            grad_translation[row] -= total
