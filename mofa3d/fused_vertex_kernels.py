"""Numba kernels of `mofa3d.fused_vertex_loss`: one call does a run of vertices of several images and releases the GIL.

Images lie side by side: every number is a row of `LANES` numbers, one per image. A vertex's neighbours are then found
once for all images, and gathering from them moves whole rows, which a processor adds and multiplies as one. Rows of a
vertex follow each other, so ``values[(3 * vertex + axis) * LANES + image]``. What a vertex needs for itself lies in one
small array at fixed places, so that the compiler sees that its rows do not overlap.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mofa3d.harmonics import AMBIENT

LANES = 8

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

# A number of double precision makes everything it touches double, at half the speed.
_F = np.float32
ZERO, ONE, HALF, TWO, THREE, SIX = _F(0), _F(1), _F(0.5), _F(2), _F(3), _F(6)
SHORTEST = _F(1e-12)  # length of a sum of face normals below which there is no normal
LEAST_SQUARE = _F(1e-12)  # of a colour distance, as in `mofa3d.losses.residuals`
EVEN = _F(AMBIENT)
# Factors of the nine functions of `mofa3d.harmonics`.
LINEAR, PRODUCT, ZONAL = _F(2 / math.sqrt(3)), _F(math.sqrt(15) / 4), _F(math.sqrt(5) / 8)

# Places, in numbers, of rows in the array of a run of vertices. First what is given: pose, light and 1/N.
ROTATION, TRANSLATION, LIGHT, WEIGHT = (LANES * row for row in (0, 9, 12, 39))
GIVEN = 40
# Then the sums over the run: gradients of pose and light, loss, error and weight.
GRAD_ROTATION, GRAD_TRANSLATION, GRAD_LIGHT = (LANES * (GIVEN + row) for row in (0, 9, 12))
LOSS, ERROR, COUNTED = (LANES * (GIVEN + row) for row in (39, 40, 41))
SUMS = 42
# Then one vertex: what it has, what is made of it, and the gradients.
VERTEX, NORMAL_SUM, REFLECTANCE, AREA = (LANES * (GIVEN + SUMS + row) for row in (0, 3, 6, 9))
POSITION, NORMAL, LENGTH, PIXEL = (LANES * (GIVEN + SUMS + row) for row in (10, 13, 16, 17))
COLOR, ALONG_X, ALONG_Y = (LANES * (GIVEN + SUMS + row) for row in (19, 22, 25))
GRAD_VERTEX, GRAD_NORMAL_SUM, GRAD_REFLECTANCE, GRAD_AREA = (LANES * (GIVEN + SUMS + row) for row in (28, 31, 34, 37))
ROWS = GIVEN + SUMS + 38


@njit(**_OPTIONS)
def spread(start, stop, columns, means, values):
    """values[row, image] = columns[image, row] + means[row]."""
    for row in range(start, stop):
        for lane in range(LANES):
            values[row * LANES + lane] = columns[lane, row] + means[row]


@njit(**_OPTIONS)
def compare(
    start, stop, given, corner_starts, corners, vertices, reflectance, pixels, images,
    focal, rest_distance, background_cost,
    sums, grad_vertices, grad_normal_sums, grad_reflectance, grad_areas,
):  # fmt: skip
    """The loss of vertices `start` to `stop` and all its gradients but those that pass through neighbours.

    Args:
        given: pose, light and weight of each image, `GIVEN` rows.
        corner_starts, corners: vertex i has the triangles (i, corners[2k], corners[2k + 1]) with k from
            corner_starts[i] to corner_starts[i + 1].
        vertices: model space.
        pixels: projected vertices; empty if samples are not weighted with their areas.
        images: (B, 3, H, W), at most `LANES`.
        sums: `SUMS` rows to fill.
        grad_vertices, grad_normal_sums, grad_reflectance: to fill, with respect to what stands at each vertex.
        grad_areas: to fill if there are `pixels`.
    """
    work = np.zeros(ROWS * LANES, np.float32)
    for j in range(GIVEN * LANES):
        work[j] = given[j]
    half, size = HALF * _F(images.shape[3]), _F(images.shape[3])
    for i in range(start, stop):
        for j in range(3 * LANES):
            work[VERTEX + j] = vertices[3 * LANES * i + j]
        for j in range(3 * LANES):
            work[REFLECTANCE + j] = reflectance[3 * LANES * i + j]
        _add_normals(i, corner_starts, corners, vertices, work)
        if len(pixels):
            _add_areas(i, corner_starts, corners, pixels, work)
        else:
            for lane in range(LANES):
                work[AREA + lane] = ONE
        _see(work, focal, rest_distance, half)
        for lane in range(images.shape[0]):
            _sample(images, lane, work)
        _judge(work, focal, rest_distance, size, background_cost)
        for j in range(3 * LANES):
            grad_vertices[3 * LANES * i + j] = work[GRAD_VERTEX + j]
        for j in range(3 * LANES):
            grad_normal_sums[3 * LANES * i + j] = work[GRAD_NORMAL_SUM + j]
        for j in range(3 * LANES):
            grad_reflectance[3 * LANES * i + j] = work[GRAD_REFLECTANCE + j]
        if len(pixels):
            for lane in range(LANES):
                grad_areas[LANES * i + lane] = work[GRAD_AREA + lane]
    for j in range(SUMS * LANES):
        sums[j] = work[GIVEN * LANES + j]


@njit(inline="always")
def _add_normals(i, corner_starts, corners, vertices, work):
    for j in range(3 * LANES):
        work[NORMAL_SUM + j] = ZERO
    for k in range(corner_starts[i], corner_starts[i + 1]):
        b, c = 3 * LANES * corners[2 * k], 3 * LANES * corners[2 * k + 1]
        for lane in range(LANES):
            x, y, z = work[VERTEX + lane], work[VERTEX + LANES + lane], work[VERTEX + 2 * LANES + lane]
            ux, uy, uz = vertices[b + lane] - x, vertices[b + LANES + lane] - y, vertices[b + 2 * LANES + lane] - z
            vx, vy, vz = vertices[c + lane] - x, vertices[c + LANES + lane] - y, vertices[c + 2 * LANES + lane] - z
            work[NORMAL_SUM + lane] += uy * vz - uz * vy
            work[NORMAL_SUM + LANES + lane] += uz * vx - ux * vz
            work[NORMAL_SUM + 2 * LANES + lane] += ux * vy - uy * vx


@njit(inline="always")
def _add_areas(i, corner_starts, corners, pixels, work):
    """A third of the areas of the triangles around that are turned to the camera."""
    for lane in range(LANES):
        work[AREA + lane] = ZERO
        work[PIXEL + lane] = pixels[2 * LANES * i + lane]
        work[PIXEL + LANES + lane] = pixels[2 * LANES * i + LANES + lane]
    for k in range(corner_starts[i], corner_starts[i + 1]):
        b, c = 2 * LANES * corners[2 * k], 2 * LANES * corners[2 * k + 1]
        for lane in range(LANES):
            x, y = work[PIXEL + lane], work[PIXEL + LANES + lane]
            # Counter-clockwise faces turn clockwise in pixels, where y points down.
            doubled = (pixels[c + lane] - x) * (pixels[b + LANES + lane] - y) - (pixels[b + lane] - x) * (
                pixels[c + LANES + lane] - y
            )
            work[AREA + lane] += max(doubled, ZERO) / SIX


@njit(inline="always")
def _see(work, focal, rest_distance, half):
    """Position, unit normal and pixel of the vertex."""
    for lane in range(LANES):
        x = work[VERTEX + lane] - work[TRANSLATION + lane]
        y = work[VERTEX + LANES + lane] - work[TRANSLATION + LANES + lane]
        z = work[VERTEX + 2 * LANES + lane] - work[TRANSLATION + 2 * LANES + lane]
        sx, sy, sz = work[NORMAL_SUM + lane], work[NORMAL_SUM + LANES + lane], work[NORMAL_SUM + 2 * LANES + lane]
        length = max(np.sqrt(sx * sx + sy * sy + sz * sz), SHORTEST)
        work[LENGTH + lane] = length
        for axis in range(3):  # points are rows: times R is R⁻¹
            a = work[ROTATION + axis * LANES + lane]
            b = work[ROTATION + (3 + axis) * LANES + lane]
            c = work[ROTATION + (6 + axis) * LANES + lane]
            work[POSITION + axis * LANES + lane] = x * a + y * b + z * c
            work[NORMAL + axis * LANES + lane] = (sx * a + sy * b + sz * c) / length
        scale = focal / (rest_distance - work[POSITION + 2 * LANES + lane])
        work[PIXEL + lane] = half + scale * work[POSITION + lane]
        work[PIXEL + LANES + lane] = half - scale * work[POSITION + LANES + lane]


@njit(inline="always")
def _sample(images, lane, work):
    """The image at the pixel, bilinearly, and its derivatives; border pixels extend outwards."""
    x, left, right, moves_x = _between(work[PIXEL + lane], images.shape[3])
    y, top, bottom, moves_y = _between(work[PIXEL + LANES + lane], images.shape[2])
    for channel in range(3):
        a, b = images[lane, channel, top, left], images[lane, channel, top, right]
        c, d = images[lane, channel, bottom, left], images[lane, channel, bottom, right]
        above, below = a + x * (b - a), c + x * (d - c)
        work[COLOR + channel * LANES + lane] = above + y * (below - above)
        work[ALONG_X + channel * LANES + lane] = moves_x * (b - a + y * (d - c - b + a))
        work[ALONG_Y + channel * LANES + lane] = moves_y * (below - above)


@njit(inline="always")
def _between(pixel, count):
    """Fraction and indices of the two pixels around a coordinate, and whether it is not held at the border."""
    last = _F(count - 1)
    at = pixel - HALF
    moves = ONE if ZERO < at < last else ZERO
    at = at if at > ZERO else ZERO  # NaN too: it must not become an index
    at = at if at < last else last
    first = min(int(at), max(count - 2, 0))
    return at - _F(first), first, min(first + 1, count - 1), moves


@njit(inline="always")
def _judge(work, focal, rest_distance, size, background_cost):
    """Add the vertex to the sums, and fill its gradients."""
    for lane in range(LANES):
        px, py, pz = work[POSITION + lane], work[POSITION + LANES + lane], work[POSITION + 2 * LANES + lane]
        nx, ny, nz = work[NORMAL + lane], work[NORMAL + LANES + lane], work[NORMAL + 2 * LANES + lane]
        u, w, length = work[PIXEL + lane], work[PIXEL + LANES + lane], work[LENGTH + lane]
        depth = rest_distance - pz
        # 𝒱 of Eq. 8, inside the image.
        counts = (nz * depth - nx * px - ny * py > ZERO) & (u >= ZERO) & (u <= size) & (w >= ZERO) & (w <= size)
        unit = work[WEIGHT + lane] if counts else ZERO
        weight = unit * work[AREA + lane]
        irradiance_0, irradiance_1, irradiance_2 = (
            _irradiance(nx, ny, nz, work, 0, lane),
            _irradiance(nx, ny, nz, work, 1, lane),
            _irradiance(nx, ny, nz, work, 2, lane),
        )
        r0, r1, r2 = work[REFLECTANCE + lane], work[REFLECTANCE + LANES + lane], work[REFLECTANCE + 2 * LANES + lane]
        d0 = work[COLOR + lane] - r0 * irradiance_0
        d1 = work[COLOR + LANES + lane] - r1 * irradiance_1
        d2 = work[COLOR + 2 * LANES + lane] - r2 * irradiance_2
        square = d0 * d0 + d1 * d1 + d2 * d2
        distance = np.sqrt(max(square, LEAST_SQUARE))
        work[LOSS + lane] += weight * (distance - background_cost)
        work[ERROR + lane] += weight * distance
        work[COUNTED + lane] += weight
        work[GRAD_AREA + lane] = unit * (distance - background_cost)

        slope = weight / distance if square > LEAST_SQUARE else ZERO * square
        d0, d1, d2 = slope * d0, slope * d1, slope * d2
        work[GRAD_REFLECTANCE + lane] = -d0 * irradiance_0
        work[GRAD_REFLECTANCE + LANES + lane] = -d1 * irradiance_1
        work[GRAD_REFLECTANCE + 2 * LANES + lane] = -d2 * irradiance_2
        gx, gy, gz = ZERO, ZERO, ZERO
        for channel in range(3):
            g = -(d0 * r0 if channel == 0 else d1 * r1 if channel == 1 else d2 * r2)
            at, light = GRAD_LIGHT + channel * LANES + lane, LIGHT + channel * LANES + lane
            work[at] += g
            work[at + 3 * LANES] += g * LINEAR * ny
            work[at + 6 * LANES] += g * LINEAR * nz
            work[at + 9 * LANES] += g * LINEAR * nx
            work[at + 12 * LANES] += g * PRODUCT * nx * ny
            work[at + 15 * LANES] += g * PRODUCT * ny * nz
            work[at + 18 * LANES] += g * ZONAL * (THREE * nz * nz - ONE)
            work[at + 21 * LANES] += g * PRODUCT * nx * nz
            work[at + 24 * LANES] += g * (HALF * PRODUCT) * (nx * nx - ny * ny)
            along_y, along_z, along_x = work[light + 3 * LANES], work[light + 6 * LANES], work[light + 9 * LANES]
            xy, yz, zz = work[light + 12 * LANES], work[light + 15 * LANES], work[light + 18 * LANES]
            xz, xx = work[light + 21 * LANES], work[light + 24 * LANES]
            gx += g * (LINEAR * along_x + PRODUCT * (xy * ny + xz * nz + xx * nx))
            gy += g * (LINEAR * along_y + PRODUCT * (xy * nx + yz * nz - xx * ny))
            gz += g * (LINEAR * along_z + PRODUCT * (yz * ny + xz * nx) + ZONAL * SIX * zz * nz)
        along = gx * nx + gy * ny + gz * nz if length > SHORTEST else ZERO
        gx, gy, gz = (gx - along * nx) / length, (gy - along * ny) / length, (gz - along * nz) / length

        scale = focal / depth
        horizontal = scale * (
            d0 * work[ALONG_X + lane] + d1 * work[ALONG_X + LANES + lane] + d2 * work[ALONG_X + 2 * LANES + lane]
        )
        vertical = -scale * (
            d0 * work[ALONG_Y + lane] + d1 * work[ALONG_Y + LANES + lane] + d2 * work[ALONG_Y + 2 * LANES + lane]
        )
        deep = (horizontal * px + vertical * py) / depth
        for axis in range(3):
            a = work[ROTATION + 3 * axis * LANES + lane]
            b = work[ROTATION + (3 * axis + 1) * LANES + lane]
            c = work[ROTATION + (3 * axis + 2) * LANES + lane]
            offset = work[VERTEX + axis * LANES + lane] - work[TRANSLATION + axis * LANES + lane]
            total = work[NORMAL_SUM + axis * LANES + lane]
            work[GRAD_ROTATION + 3 * axis * LANES + lane] += offset * horizontal + total * gx
            work[GRAD_ROTATION + (3 * axis + 1) * LANES + lane] += offset * vertical + total * gy
            work[GRAD_ROTATION + (3 * axis + 2) * LANES + lane] += offset * deep + total * gz
            moved = a * horizontal + b * vertical + c * deep
            work[GRAD_VERTEX + axis * LANES + lane] = moved
            work[GRAD_TRANSLATION + axis * LANES + lane] -= moved
            work[GRAD_NORMAL_SUM + axis * LANES + lane] = a * gx + b * gy + c * gz


@njit(inline="always")
def _irradiance(x, y, z, work, channel, lane):
    at = LIGHT + channel * LANES + lane
    return (
        EVEN + work[at]
        + LINEAR * (work[at + 3 * LANES] * y + work[at + 6 * LANES] * z + work[at + 9 * LANES] * x)
        + PRODUCT * (work[at + 12 * LANES] * x * y + work[at + 15 * LANES] * y * z)
        + ZONAL * work[at + 18 * LANES] * (THREE * z * z - ONE)
        + PRODUCT * (work[at + 21 * LANES] * x * z + work[at + 24 * LANES] * HALF * (x * x - y * y))
    )  # fmt: skip


@njit(**_OPTIONS)
def pass_to_neighbours(start, stop, corner_starts, corners, vertices, grad_normal_sums, grad_vertices):
    """Add to the gradients of vertices `start` to `stop` what passes through the normals around them.

    A triangle's sum is (b − a) × (c − a) = a × b + b × c + c × a, and its gradient with respect to a is (b − c) × g
    with the g of its three corners.
    """
    work = np.zeros(6 * LANES, np.float32)
    for i in range(start, stop):
        for j in range(3 * LANES):
            work[j] = grad_vertices[3 * LANES * i + j]
        for j in range(3 * LANES):
            work[3 * LANES + j] = grad_normal_sums[3 * LANES * i + j]
        for k in range(corner_starts[i], corner_starts[i + 1]):
            b, c = 3 * LANES * corners[2 * k], 3 * LANES * corners[2 * k + 1]
            for lane in range(LANES):
                y, z = b + LANES + lane, b + 2 * LANES + lane
                ux = vertices[b + lane] - vertices[c + lane]
                uy = vertices[b + LANES + lane] - vertices[c + LANES + lane]
                uz = vertices[b + 2 * LANES + lane] - vertices[c + 2 * LANES + lane]
                gx = work[3 * LANES + lane] + grad_normal_sums[b + lane] + grad_normal_sums[c + lane]
                gy = work[4 * LANES + lane] + grad_normal_sums[y] + grad_normal_sums[c + LANES + lane]
                gz = work[5 * LANES + lane] + grad_normal_sums[z] + grad_normal_sums[c + 2 * LANES + lane]
                work[lane] += uy * gz - uz * gy
                work[LANES + lane] += uz * gx - ux * gz
                work[2 * LANES + lane] += ux * gy - uy * gx
        for j in range(3 * LANES):
            grad_vertices[3 * LANES * i + j] = work[j]
