"""Numba kernels of `mofa3d.fused_vertex_loss`: one call does a run of vertices of several images and releases the GIL.

Images lie side by side: every number is a row of `LANES` numbers, one per image, and rows[3 * i + axis] are vertex i.
The triangles around a vertex are then found once for all images, and gathering from them moves whole rows.

Triangles come by vertex: vertex i has (i, corners[k, 0], corners[k, 1]) with k from starts[i] to starts[i + 1].
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mofa3d.harmonics import AMBIENT
from mofa3d.simd import LANES, above, at_least, load, root, store

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

_F = np.float32
ZERO, ONE, HALF, TWO, THREE, SIX = _F(0), _F(1), _F(0.5), _F(2), _F(3), _F(6)
SHORTEST = _F(1e-12)  # length of a sum of face normals below which there is no normal
LEAST_SQUARE = _F(1e-12)  # of a colour distance, as in `mofa3d.losses.residuals`
EVEN = _F(AMBIENT)
# Factors of the nine functions of `mofa3d.harmonics`.
LINEAR, PRODUCT, ZONAL = _F(2 / math.sqrt(3)), _F(math.sqrt(15) / 4), _F(math.sqrt(5) / 8)

# Rows of what is given for each image.
ROTATION, TRANSLATION, LIGHT, WEIGHT, GIVEN = 0, 9, 12, 39, 40
# Rows of the sums over vertices: gradients of the first three, weights times errors, weights.
ERROR, COUNTED, SUMS = 39, 40, 41


@njit(**_OPTIONS)
def spread(start, stop, columns, means, rows):
    """rows[row, image] = columns[image, row] + means[row]."""
    for row in range(start, stop):
        for lane in range(columns.shape[0]):
            rows[row, lane] = columns[lane, row] + means[row]


@njit(**_OPTIONS)
def project(start, stop, given, vertices, focal, rest_distance, half, pixels):
    """Fill the pixels (two rows each) of vertices."""
    for i in range(start, stop):
        px, py, pz = _to_camera(*_offset(vertices, i, given), given)
        scale = focal / (rest_distance - pz)
        store(pixels, 2 * i, half + scale * px)
        store(pixels, 2 * i + 1, half - scale * py)


@njit(**_OPTIONS)
def compare(
    start, stop, given, starts, corners, vertices, reflectance, pixels, images,
    focal, rest_distance, background_cost,
    sums, grad_vertices, grad_normals, grad_reflectance, grad_areas,
):  # fmt: skip
    """The loss of vertices and its gradients, but for what passes through the positions of neighbours.

    Args:
        given: pose, light and weight of each image, `GIVEN` rows.
        vertices: model space.
        pixels: from `project`, or no rows if samples are not weighted with their areas.
        images: (B, 3, H, W), at most `LANES`.
        sums: `SUMS` rows of zeros to add to.
        grad_vertices, grad_normals, grad_reflectance: to fill; `grad_normals` are with respect to the sums of the face
            normals around each vertex.
        grad_areas: to fill if there are `pixels`.
    """
    size, half = _F(images.shape[3]), HALF * _F(images.shape[3])
    sampled = np.zeros((11, LANES), np.float32)
    for i in range(start, stop):
        ox, oy, oz = _offset(vertices, i, given)
        px, py, pz = _to_camera(ox, oy, oz, given)
        sx, sy, sz = _normal_sum(i, starts, corners, vertices)
        mx, my, mz = _to_camera(sx, sy, sz, given)
        length = at_least(root(mx * mx + my * my + mz * mz), SHORTEST)
        nx, ny, nz = mx / length, my / length, mz / length
        depth = rest_distance - pz
        scale = focal / depth
        u, w = half + scale * px, half - scale * py
        store(sampled, 0, u)
        store(sampled, 1, w)
        for lane in range(images.shape[0]):
            _sample(images, lane, sampled)

        # 𝒱 of Eq. 8, inside the image.
        seen = above(nz * depth - nx * px - ny * py, ZERO) * _within(u, size) * _within(w, size) * load(given, WEIGHT)
        weight = seen * _area(i, starts, corners, pixels) if len(pixels) else seen
        light_0, light_1, light_2 = (
            _irradiance(nx, ny, nz, given, LIGHT),
            _irradiance(nx, ny, nz, given, LIGHT + 1),
            _irradiance(nx, ny, nz, given, LIGHT + 2),
        )
        r0, r1, r2 = load(reflectance, 3 * i), load(reflectance, 3 * i + 1), load(reflectance, 3 * i + 2)
        d0, d1, d2 = load(sampled, 2) - r0 * light_0, load(sampled, 3) - r1 * light_1, load(sampled, 4) - r2 * light_2
        square = d0 * d0 + d1 * d1 + d2 * d2
        distance = root(at_least(square, LEAST_SQUARE))
        _add(sums, ERROR, weight * distance)
        _add(sums, COUNTED, weight)
        if len(pixels):
            store(grad_areas, i, seen * (distance - background_cost))

        slope = above(square, LEAST_SQUARE) * weight / distance
        d0, d1, d2 = slope * d0, slope * d1, slope * d2
        store(grad_reflectance, 3 * i, -d0 * light_0)
        store(grad_reflectance, 3 * i + 1, -d1 * light_1)
        store(grad_reflectance, 3 * i + 2, -d2 * light_2)
        ax, ay, az = _light_back(nx, ny, nz, given, sums, LIGHT, -d0 * r0)
        bx, by, bz = _light_back(nx, ny, nz, given, sums, LIGHT + 1, -d1 * r1)
        cx, cy, cz = _light_back(nx, ny, nz, given, sums, LIGHT + 2, -d2 * r2)
        gx, gy, gz = ax + bx + cx, ay + by + cy, az + bz + cz
        # Where there is no normal, its length is a constant.
        along = (gx * nx + gy * ny + gz * nz) * above(length, SHORTEST)
        gx, gy, gz = (gx - along * nx) / length, (gy - along * ny) / length, (gz - along * nz) / length
        hx = scale * (d0 * load(sampled, 5) + d1 * load(sampled, 6) + d2 * load(sampled, 7))
        hy = -scale * (d0 * load(sampled, 8) + d1 * load(sampled, 9) + d2 * load(sampled, 10))
        hz = (hx * px + hy * py) / depth
        _move_back(i, ox, oy, oz, hx, hy, hz, given, sums, grad_vertices)
        _turn_back(sx, sy, sz, gx, gy, gz, sums)
        _store_turned(gx, gy, gz, given, grad_normals, i)


@njit(**_OPTIONS)
def _offset(vertices, i, given):
    """From the camera-space origin to a vertex, in model space."""
    return (
        load(vertices, 3 * i) - load(given, TRANSLATION),
        load(vertices, 3 * i + 1) - load(given, TRANSLATION + 1),
        load(vertices, 3 * i + 2) - load(given, TRANSLATION + 2),
    )


@njit(**_OPTIONS)
def _to_camera(x, y, z, given):
    # Points are rows: times R is R⁻¹.
    return (
        x * load(given, ROTATION) + y * load(given, ROTATION + 3) + z * load(given, ROTATION + 6),
        x * load(given, ROTATION + 1) + y * load(given, ROTATION + 4) + z * load(given, ROTATION + 7),
        x * load(given, ROTATION + 2) + y * load(given, ROTATION + 5) + z * load(given, ROTATION + 8),
    )


@njit(**_OPTIONS)
def _normal_sum(i, starts, corners, vertices):
    x, y, z = load(vertices, 3 * i), load(vertices, 3 * i + 1), load(vertices, 3 * i + 2)
    sx, sy, sz = x * ZERO, y * ZERO, z * ZERO
    for k in range(starts[i], starts[i + 1]):
        b, c = 3 * corners[k, 0], 3 * corners[k, 1]
        ux, uy, uz = load(vertices, b) - x, load(vertices, b + 1) - y, load(vertices, b + 2) - z
        vx, vy, vz = load(vertices, c) - x, load(vertices, c + 1) - y, load(vertices, c + 2) - z
        sx += uy * vz - uz * vy
        sy += uz * vx - ux * vz
        sz += ux * vy - uy * vx
    return sx, sy, sz


@njit(**_OPTIONS)
def _area(i, starts, corners, pixels):
    """A third of the areas of the triangles around a vertex that are turned to the camera."""
    x, y = load(pixels, 2 * i), load(pixels, 2 * i + 1)
    total = x * ZERO
    for k in range(starts[i], starts[i + 1]):
        b, c = 2 * corners[k, 0], 2 * corners[k, 1]
        total += at_least(_doubled(x, y, pixels, b, c), ZERO)
    return total / SIX


@njit(**_OPTIONS)
def _doubled(x, y, pixels, b, c):
    """Twice the area of a triangle; counter-clockwise faces turn clockwise in pixels, where y points down."""
    ux, uy = load(pixels, b) - x, load(pixels, b + 1) - y
    vx, vy = load(pixels, c) - x, load(pixels, c + 1) - y
    return vx * uy - ux * vy


@njit(**_OPTIONS)
def _within(at, size):
    return (ONE - above(ZERO, at)) * (ONE - above(at, size))


@njit(**_OPTIONS)
def _sample(images, lane, sampled):
    """Fill colour and its derivatives along x and y (rows 2, 5, 8) at the pixel in rows 0 and 1, bilinearly.

    Border pixels extend outwards.
    """
    x, left, right, moves_x = _between(sampled[0, lane], images.shape[3])
    y, top, bottom, moves_y = _between(sampled[1, lane], images.shape[2])
    for channel in range(3):
        a, b = images[lane, channel, top, left], images[lane, channel, top, right]
        c, d = images[lane, channel, bottom, left], images[lane, channel, bottom, right]
        upper, lower = a + x * (b - a), c + x * (d - c)
        sampled[2 + channel, lane] = upper + y * (lower - upper)
        sampled[5 + channel, lane] = moves_x * (b - a + y * (d - c - b + a))
        sampled[8 + channel, lane] = moves_y * (lower - upper)


@njit(**_OPTIONS)
def _between(pixel, count):
    """Fraction and indices of the two pixels around a coordinate, and 0 where it is held at the border, else 1."""
    last = _F(count - 1)
    at = pixel - HALF
    moves = ONE if ZERO < at < last else ZERO
    at = at if at > ZERO else ZERO  # NaN too: it must not become an index
    at = at if at < last else last
    first = min(int(at), max(count - 2, 0))
    return at - _F(first), first, min(first + 1, count - 1), moves


@njit(**_OPTIONS)
def _irradiance(x, y, z, given, at):
    return (
        EVEN + load(given, at)
        + LINEAR * (load(given, at + 3) * y + load(given, at + 6) * z + load(given, at + 9) * x)
        + PRODUCT * (load(given, at + 12) * x * y + load(given, at + 15) * y * z)
        + ZONAL * load(given, at + 18) * (THREE * z * z - ONE)
        + PRODUCT * (load(given, at + 21) * x * z + HALF * load(given, at + 24) * (x * x - y * y))
    )  # fmt: skip


@njit(**_OPTIONS)
def _light_back(x, y, z, given, sums, at, g):
    """Add g, the gradient of a channel's irradiance, to those of its light; return that of the normal."""
    _add(sums, at, g)
    _add(sums, at + 3, g * LINEAR * y)
    _add(sums, at + 6, g * LINEAR * z)
    _add(sums, at + 9, g * LINEAR * x)
    _add(sums, at + 12, g * PRODUCT * (x * y))
    _add(sums, at + 15, g * PRODUCT * (y * z))
    _add(sums, at + 18, g * ZONAL * (THREE * z * z - ONE))
    _add(sums, at + 21, g * PRODUCT * (x * z))
    _add(sums, at + 24, g * (HALF * PRODUCT) * (x * x - y * y))
    along_y, along_z, along_x = load(given, at + 3), load(given, at + 6), load(given, at + 9)
    xy, yz, zz = load(given, at + 12), load(given, at + 15), load(given, at + 18)
    xz, xx = load(given, at + 21), load(given, at + 24)
    return (
        g * (LINEAR * along_x + PRODUCT * (xy * y + xz * z + xx * x)),
        g * (LINEAR * along_y + PRODUCT * (xy * x + yz * z - xx * y)),
        g * (LINEAR * along_z + PRODUCT * (yz * y + xz * x) + (ZONAL * SIX) * zz * z),
    )


@njit(**_OPTIONS)
def _move_back(i, ox, oy, oz, hx, hy, hz, given, sums, grad_vertices):
    """Take the gradient of a camera-space position back to its vertex, rotation and translation."""
    _turn_back(ox, oy, oz, hx, hy, hz, sums)
    _store_turned(hx, hy, hz, given, grad_vertices, i)
    for axis in range(3):
        _add(sums, TRANSLATION + axis, -load(grad_vertices, 3 * i + axis))


@njit(**_OPTIONS)
def _turn_back(x, y, z, gx, gy, gz, sums):
    """Add the gradient of the rotation that turned (x, y, z)."""
    _add(sums, ROTATION, x * gx)
    _add(sums, ROTATION + 1, x * gy)
    _add(sums, ROTATION + 2, x * gz)
    _add(sums, ROTATION + 3, y * gx)
    _add(sums, ROTATION + 4, y * gy)
    _add(sums, ROTATION + 5, y * gz)
    _add(sums, ROTATION + 6, z * gx)
    _add(sums, ROTATION + 7, z * gy)
    _add(sums, ROTATION + 8, z * gz)


@njit(**_OPTIONS)
def _store_turned(gx, gy, gz, given, rows, i):
    for axis in range(3):
        at = ROTATION + 3 * axis
        store(rows, 3 * i + axis, load(given, at) * gx + load(given, at + 1) * gy + load(given, at + 2) * gz)


@njit(**_OPTIONS)
def _add(rows, at, value):
    store(rows, at, load(rows, at) + value)


@njit(**_OPTIONS)
def pass_to_neighbours(start, stop, starts, corners, vertices, grad_normals, grad_vertices):
    """Add to the gradients of vertices what comes from the normals around them.

    A triangle's sum is (b − a) × (c − a) = a × b + b × c + c × a, and its gradient with respect to a is (b − c) × g
    with the g of its three corners.
    """
    for i in range(start, stop):
        x, y, z = load(grad_vertices, 3 * i), load(grad_vertices, 3 * i + 1), load(grad_vertices, 3 * i + 2)
        ax, ay, az = load(grad_normals, 3 * i), load(grad_normals, 3 * i + 1), load(grad_normals, 3 * i + 2)
        for k in range(starts[i], starts[i + 1]):
            b, c = 3 * corners[k, 0], 3 * corners[k, 1]
            ux, uy, uz = (
                load(vertices, b) - load(vertices, c),
                load(vertices, b + 1) - load(vertices, c + 1),
                load(vertices, b + 2) - load(vertices, c + 2),
            )
            gx = ax + load(grad_normals, b) + load(grad_normals, c)
            gy = ay + load(grad_normals, b + 1) + load(grad_normals, c + 1)
            gz = az + load(grad_normals, b + 2) + load(grad_normals, c + 2)
            x += uy * gz - uz * gy
            y += uz * gx - ux * gz
            z += ux * gy - uy * gx
        store(grad_vertices, 3 * i, x)
        store(grad_vertices, 3 * i + 1, y)
        store(grad_vertices, 3 * i + 2, z)
