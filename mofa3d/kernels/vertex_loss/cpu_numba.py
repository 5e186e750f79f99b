"""Numba kernels of `mofa3d.kernels.vertex_loss.cpu`: one call does a run of vertices of several images and releases the
GIL.

Images lie side by side: every number is a row of `LANES` numbers, one per image, and rows[3 * i + axis] are vertex i.
The triangles around a vertex are then found once for all images, and gathering from them moves whole rows.

Triangles come by vertex: vertex i has (i, corners[k, 0], corners[k, 1]) with k from starts[i] to starts[i + 1].

Vertices are done in blocks of `BLOCK`, so that a block's part of a basis stays in the cache between the way there and
the way back. Runs start at multiples of it, and bases have rows of zeros up to the next multiple. A basis has the
number of row i for coefficient k at [i // GROUP, k, i % GROUP].
"""

from __future__ import annotations

import numpy as np

from mofa3d.kernels.compiled import compiled
from mofa3d.kernels.simd import LANES, above, at_least, clip, fill, load, load_pairs, prefetch, root, store, whole
from mofa3d.kernels.vertex_loss.cpu_vertex_numba import (
    HALF,
    ONE,
    OPTIONS,
    SIX,
    add,
    from_origin,
    irradiance,
    irradiance_back,
    load_vector,
    move_back,
    to_camera,
    turn_back,
)

BLOCK = 32  # vertices
ROWS = 3 * BLOCK
GROUP = 8  # rows of a basis whose numbers stand side by side: it is then read from one end to the other
AHEAD = 2  # groups: what is read so much later is brought into the cache meanwhile

# Rows of `given` after pose and light, and of `sums` after their gradients.
WEIGHT, GIVEN = 39, 40
ERROR, COUNTED, SUMS = 39, 40, 41

ZERO = np.float32(0)
SHORTEST = np.float32(1e-12)  # length of a sum of face normals below which there is no normal
LEAST_SQUARE = np.float32(1e-12)  # of a color distance, as in `mofa3d.losses.residuals`


@compiled(**OPTIONS)
def decode(start, stop, means, basis, code, given, focal, rest_distance, half, vertices, pixels):
    """Fill the vertices (model space) and, unless it has no rows, their projected pixels, two rows each."""
    for i in range(start, stop, BLOCK):
        combine(means, basis, code, 3 * i, vertices, 3 * i)
    if len(pixels):
        for i in range(start, stop):
            x, y, z = to_camera(from_origin(load_vector(vertices, 3 * i), given), given)
            scale = focal / (rest_distance - z)
            store(pixels, 2 * i, half + scale * x)
            store(pixels, 2 * i + 1, half - scale * y)


@compiled(**OPTIONS)
def combine(means, basis, code, first, rows, at):
    """rows[at:] = means + basis · code for the `ROWS` rows of a block from `first` on."""
    for part in range(0, ROWS, GROUP):
        group, i = basis[(first + part) // GROUP], first + part
        # Eight sums at a time hide the time that each addition takes. The means come last: they are far larger than the
        # rest, and every sum is rounded.
        a = b = c = d = e = f = g = h = fill(ZERO)
        ahead = ((first + part) // GROUP + AHEAD) * group.shape[0]
        for k in range(group.shape[0]):
            prefetch(basis, (ahead + k) * GROUP)
            number = load(code, k)
            a += group[k, 0] * number
            b += group[k, 1] * number
            c += group[k, 2] * number
            d += group[k, 3] * number
            e += group[k, 4] * number
            f += group[k, 5] * number
            g += group[k, 6] * number
            h += group[k, 7] * number
        j = at + part
        store(rows, j, a + means[i])
        store(rows, j + 1, b + means[i + 1])
        store(rows, j + 2, c + means[i + 2])
        store(rows, j + 3, d + means[i + 3])
        store(rows, j + 4, e + means[i + 4])
        store(rows, j + 5, f + means[i + 5])
        store(rows, j + 6, g + means[i + 6])
        store(rows, j + 7, h + means[i + 7])


@compiled(**OPTIONS)
def combine_back(basis, gradients, first, grad_code):
    """Add to the code's gradient, given that of the `ROWS` rows of a block from `first` on."""
    for part in range(0, ROWS, GROUP):
        group = basis[(first + part) // GROUP]
        (a, b, c), (d, e, f) = load_vector(gradients, part), load_vector(gradients, part + 3)
        g, h = load(gradients, part + 6), load(gradients, part + 7)
        ahead = ((first + part) // GROUP + AHEAD) * group.shape[0]
        for k in range(group.shape[0]):
            prefetch(basis, (ahead + k) * GROUP)
            even = group[k, 0] * a + group[k, 2] * c + group[k, 4] * e + group[k, 6] * g
            odd = group[k, 1] * b + group[k, 3] * d + group[k, 5] * f + group[k, 7] * h
            add(grad_code, k, even + odd)


@compiled(**OPTIONS)
def compare(
    start, stop, given, starts, corners, vertices, pixels, means, basis, code, images, size,
    focal, rest_distance, background_cost,
    sums, grad_code, grad_vertices, grad_normals, grad_areas,
):  # fmt: skip
    """The errors of vertices and their gradients, but for what passes through the positions of neighbours.

    Args:
        given: pose, light and weight of each image, `GIVEN` rows.
        vertices, pixels: from `decode`.
        means, basis, code: of the reflectance.
        images: (B, 3 S S), at most `LANES`; with S = 1, two more numbers each, which do not matter.
        size: S.
        sums: `SUMS` rows to add to.
        grad_code: of the reflectance, to add to.
        grad_vertices, grad_normals: to fill; the latter with respect to the sum of the face normals around each vertex.
        grad_areas: to fill if there are `pixels`.
    """
    block, side = np.zeros((ROWS, LANES), np.float32), np.float32(size)
    for first in range(start, stop, BLOCK):
        combine(means, basis, code, 3 * first, block, 0)
        for i in range(first, min(first + BLOCK, stop)):
            vertex = from_origin(load_vector(vertices, 3 * i), given)
            px, py, pz = to_camera(vertex, given)
            total = _normal_sum(i, starts, corners, vertices)
            nx, ny, nz = to_camera(total, given)
            length = at_least(root(nx * nx + ny * ny + nz * nz), SHORTEST)
            nx, ny, nz = nx / length, ny / length, nz / length
            normal = nx, ny, nz
            depth = rest_distance - pz
            scale = focal / depth
            u, v = HALF * side + scale * px, HALF * side - scale * py
            (image_r, image_g, image_b), (xr, xg, xb), (yr, yg, yb) = _sample(images, size, u, v)

            # 𝒱 of Eq. 8, inside the image.
            seen = above(nz * depth - nx * px - ny * py, ZERO) * _within(u, side) * _within(v, side)
            seen = seen * load(given, WEIGHT)
            weight = seen * _area(i, starts, corners, pixels) if len(pixels) else seen
            at = 3 * (i - first)
            (r, g, b), light_r = load_vector(block, at), irradiance(normal, given, 0)
            light_g, light_b = irradiance(normal, given, 1), irradiance(normal, given, 2)
            dr, dg, db = image_r - r * light_r, image_g - g * light_g, image_b - b * light_b
            # No NaN of the pose may be lost because it makes a vertex not count.
            square = dr * dr + dg * dg + db * db + ZERO * depth
            distance = root(at_least(square, LEAST_SQUARE))
            add(sums, ERROR, weight * distance)
            add(sums, COUNTED, weight)
            if len(pixels):
                store(grad_areas, i, seen * (distance - background_cost))

            slope = above(square, LEAST_SQUARE) * weight / distance
            dr, dg, db = slope * dr, slope * dg, slope * db
            store(block, at, -dr * light_r)
            store(block, at + 1, -dg * light_g)
            store(block, at + 2, -db * light_b)
            rx, ry, rz = irradiance_back(normal, -dr * r, given, sums, 0)
            gx, gy, gz = irradiance_back(normal, -dg * g, given, sums, 1)
            bx, by, bz = irradiance_back(normal, -db * b, given, sums, 2)
            gx, gy, gz = rx + gx + bx, ry + gy + by, rz + gz + bz
            # Where there is no normal, its length is a constant.
            along = (gx * nx + gy * ny + gz * nz) * above(length, SHORTEST)
            along_normal = (gx - along * nx) / length, (gy - along * ny) / length, (gz - along * nz) / length
            _store_vector(grad_normals, 3 * i, turn_back(total, along_normal, given, sums))

            moved = _unproject(dr * xr + dg * xg + db * xb, dr * yr + dg * yg + db * yb, px, py, depth, scale)
            _store_vector(grad_vertices, 3 * i, move_back(vertex, moved, given, sums))
        combine_back(basis, block, 3 * first, grad_code)


@compiled(**OPTIONS)
def compare_back(
    start, stop, given, starts, corners, vertices, pixels, basis, focal, rest_distance,
    grad_normals, grad_areas, grad_vertices, sums, grad_code,
):  # fmt: skip
    """Add to the gradients of pose and of the geometry's code.

    Args:
        given, vertices, pixels, grad_normals, grad_areas: as in `compare`; they are 0 at vertices that do not count.
        basis: of the geometry.
        grad_vertices: what does not pass through neighbours.
        sums, grad_code: to add to.
    """
    block = np.zeros((ROWS, LANES), np.float32)
    for first in range(start, stop, BLOCK):
        for i in range(first, min(first + BLOCK, stop)):
            x, y, z = load_vector(grad_vertices, 3 * i)
            ax, ay, az = _through_normals(i, starts, corners, vertices, grad_normals)
            x, y, z = x + ax, y + ay, z + az
            if len(pixels):
                vertex = from_origin(load_vector(vertices, 3 * i), given)
                px, py, pz = to_camera(vertex, given)
                gu, gv = _through_areas(i, starts, corners, pixels, grad_areas)
                depth = rest_distance - pz
                ax, ay, az = move_back(vertex, _unproject(gu, gv, px, py, depth, focal / depth), given, sums)
                x, y, z = x + ax, y + ay, z + az
            _store_vector(block, 3 * (i - first), (x, y, z))
        for row in range(3 * (stop - first), ROWS):
            store(block, row, fill(ZERO))
        combine_back(basis, block, 3 * first, grad_code)


@compiled(**OPTIONS)
def _store_vector(rows, at, vector):
    store(rows, at, vector[0])
    store(rows, at + 1, vector[1])
    store(rows, at + 2, vector[2])


@compiled(**OPTIONS)
def _normal_sum(i, starts, corners, vertices):
    x, y, z = load_vector(vertices, 3 * i)
    sx, sy, sz = fill(ZERO), fill(ZERO), fill(ZERO)
    for k in range(starts[i], starts[i + 1]):
        bx, by, bz = load_vector(vertices, 3 * corners[k, 0])
        cx, cy, cz = load_vector(vertices, 3 * corners[k, 1])
        bx, by, bz, cx, cy, cz = bx - x, by - y, bz - z, cx - x, cy - y, cz - z
        sx, sy, sz = sx + (by * cz - bz * cy), sy + (bz * cx - bx * cz), sz + (bx * cy - by * cx)
    return sx, sy, sz


@compiled(**OPTIONS)
def _through_normals(i, starts, corners, vertices, grad_normals):
    """The gradient of a vertex's position from the normals around it.

    A triangle's sum is (b − a) × (c − a) = a × b + b × c + c × a. Its gradient with respect to a is (b − c) × g with
    the g of its three corners.
    """
    x, y, z = fill(ZERO), fill(ZERO), fill(ZERO)
    ax, ay, az = load_vector(grad_normals, 3 * i)
    for k in range(starts[i], starts[i + 1]):
        b, c = 3 * corners[k, 0], 3 * corners[k, 1]
        (bx, by, bz), (cx, cy, cz) = load_vector(vertices, b), load_vector(vertices, c)
        ux, uy, uz = bx - cx, by - cy, bz - cz
        (bx, by, bz), (cx, cy, cz) = load_vector(grad_normals, b), load_vector(grad_normals, c)
        gx, gy, gz = ax + bx + cx, ay + by + cy, az + bz + cz
        x, y, z = x + (uy * gz - uz * gy), y + (uz * gx - ux * gz), z + (ux * gy - uy * gx)
    return x, y, z


@compiled(**OPTIONS)
def _area(i, starts, corners, pixels):
    """A third of the areas of the triangles around a vertex that are turned to the camera."""
    total = fill(ZERO)
    for k in range(starts[i], starts[i + 1]):
        total += at_least(_doubled_area(pixels, 2 * i, 2 * corners[k, 0], 2 * corners[k, 1]), ZERO)
    return total / SIX


@compiled(**OPTIONS)
def _through_areas(i, starts, corners, pixels, grad_areas):
    """The gradient of a vertex's pixel from the areas around it."""
    gu, gv = fill(ZERO), fill(ZERO)
    own = load(grad_areas, i)
    for k in range(starts[i], starts[i + 1]):
        b, c = corners[k, 0], corners[k, 1]
        turned = above(_doubled_area(pixels, 2 * i, 2 * b, 2 * c), ZERO)
        gradient = turned * (own + load(grad_areas, b) + load(grad_areas, c)) / SIX
        gu += gradient * (load(pixels, 2 * c + 1) - load(pixels, 2 * b + 1))
        gv += gradient * (load(pixels, 2 * b) - load(pixels, 2 * c))
    return gu, gv


@compiled(**OPTIONS)
def _doubled_area(pixels, a, b, c):
    """Twice the area of a triangle; counter-clockwise faces turn clockwise in pixels, where y points down."""
    x, y = load(pixels, a), load(pixels, a + 1)
    bx, by = load(pixels, b) - x, load(pixels, b + 1) - y
    cx, cy = load(pixels, c) - x, load(pixels, c + 1) - y
    return cx * by - bx * cy


@compiled(**OPTIONS)
def _unproject(gu, gv, px, py, depth, scale):
    """The gradient of a camera-space position, given that of its pixel."""
    x, y = scale * gu, -scale * gv
    return x, y, (x * px + y * py) / depth


@compiled(**OPTIONS)
def _within(at, size):
    return (ONE - above(fill(ZERO), at)) * (ONE - above(at, size))


@compiled(**OPTIONS)
def _sample(images, size, u, v):
    """Colors and their derivatives along x and along y at pixels (u, v), bilinearly; border pixels extend outwards."""
    x, left, moves_x = _between(u, size)
    y, top, moves_y = _between(v, size)
    red = _sample_channel(images, 0, size, left, top, x, y)
    green = _sample_channel(images, size * size, size, left, top, x, y)
    blue = _sample_channel(images, 2 * size * size, size, left, top, x, y)
    return (
        (red[0], green[0], blue[0]),
        (moves_x * red[1], moves_x * green[1], moves_x * blue[1]),
        (moves_y * red[2], moves_y * green[2], moves_y * blue[2]),
    )


@compiled(**OPTIONS)
def _sample_channel(images, offset, size, left, top, x, y):
    a, b = load_pairs(images, offset, top, left, size)
    c, d = load_pairs(images, offset + size, top, left, size)
    over, under = a + x * (b - a), c + x * (d - c)
    return over + y * (under - over), b - a + y * (d - c - b + a), under - over


@compiled(**OPTIONS)
def _between(pixel, size):
    """Fraction and index of the first of two pixels around a coordinate, and 0 if it is held at the border, else 1."""
    last = np.float32(size - 1)
    at = pixel - HALF
    moves = above(at, ZERO) * above(fill(last), at)
    at = clip(at, ZERO, last)  # of NaN too: it must not become an index
    first = clip(whole(at), ZERO, np.float32(max(size - 2, 0)))
    return at - first, first, moves
