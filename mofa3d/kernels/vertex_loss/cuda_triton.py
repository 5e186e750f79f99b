"""Triton kernels of `mofa3d.kernels.vertex_loss.cuda`: one program does a block of vertices of one image.

Vectors stand axis by axis: vertex i of an image has its x, y and z at i, N + i and 2 N + i. Programs that run side by
side then read side by side. Triangles come by vertex, in a table (K, 2, V): the kth triangle of vertex i has the other
two corners (table[k, 0, i], table[k, 1, i]); where there is none, both are i itself, which has no area and no normal.

Nothing is added to from two programs: a program writes the sums of its block in a column of its own, `SUMS` rows for
each image, and gradients that pass through neighbours are gathered and not scattered. So results are the same every
time. Lanes past the last vertex repeat it and count nothing; a number that they invented could be infinite.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mofa3d.kernels.vertex_loss.cuda_vertex_triton import (
    EVEN,
    LIGHT,
    SMALL,
    TRANSLATION,
    at_least,
    cross,
    light_functions,
    load_vector,
    minus,
    normal_gradient,
    project,
    rotation_matrix,
    sinc,
    to_camera,
    to_model,
    unproject,
)

# Rows of the sums: gradients of the rotation's matrix, the translation and the light, then what the losses are made of.
MOVED, LIT, ERROR, COUNTED, SUMS = (tl.constexpr(row) for row in (9, 12, 39, 40, 41))

SHORTEST = tl.constexpr(1e-12)  # length of a sum of face normals below which there is no normal
LEAST_SQUARE = tl.constexpr(1e-12)  # of a color distance, as in `mofa3d.losses.residuals`

INTERPRETED = triton.knobs.runtime.interpret  # the kernels run on the CPU, slowly, as Python


@triton.jit
def compare(
    given, given_stride, vertices, reflectance, corners, images,
    frontal_count, count, ring, size, focal, rest_distance, background_cost, weight,
    sums, columns, grad_reflectance, grad_vertices, grad_normals, grad_areas,
    areas: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The errors of frontal vertices and their gradients, but for what passes through the positions of neighbours.

    Grid: blocks of frontal vertices, images.

    Args:
        given: rotation, translation and light of each image, `given_stride` numbers apart.
        vertices: (B, 3, V), model space.
        reflectance: (B, 3, F) of the frontal vertices, which come first.
        corners: (K, 2, V); K is `ring`.
        images: (B, 3, size, size).
        weight: of a vertex, or with `areas` of a square pixel.
        sums: (B, SUMS, columns), of which the program fills one column.
        grad_reflectance, grad_vertices, grad_normals: (B, 3, F) to fill; the last with respect to the sum of the face
            normals around each vertex.
        grad_areas: (B, F) to fill with `areas`.
    """
    program, image = tl.program_id(0), tl.program_id(1).to(tl.int64)
    lanes = program * block + tl.arange(0, block)
    real = lanes < frontal_count
    i = tl.minimum(lanes, frontal_count - 1)
    given += image * given_stride
    vertices += image * 3 * count
    sums += image * SUMS * columns + program
    at_frontal = image * 3 * frontal_count

    rotation, translation = rotation_matrix(given), load_vector(given + TRANSLATION, 0, 1)
    own = load_vector(vertices, i, count)
    total, area = _surroundings(
        i, own, corners, vertices, count, ring, rotation, translation, focal, rest_distance, size, areas
    )
    vertex = minus(own, translation)
    px, py, pz = to_camera(vertex, rotation)
    nx, ny, nz = to_camera(total, rotation)
    length = tl.sqrt(nx * nx + ny * ny + nz * nz)
    has_normal = length > SHORTEST
    length = at_least(length, SHORTEST)
    nx, ny, nz = nx / length, ny / length, nz / length
    depth = rest_distance - pz
    scale = focal / depth
    u, v = 0.5 * size + scale * px, 0.5 * size - scale * py

    # 𝒱 of Eq. 8, inside the image.
    seen = real & (nz * depth - nx * px - ny * py > 0) & (u >= 0) & (u <= size) & (v >= 0) & (v <= size)
    each = tl.where(seen, weight, 0.0)
    part = each * area if areas else each

    functions = light_functions(nx, ny, nz)
    x, left, right, moves_x = _between(u, size)
    y, top, bottom, moves_y = _between(v, size)
    images += image * 3 * size * size
    pixels = top * size + left, top * size + right, bottom * size + left, bottom * size + right
    reflectance += at_frontal
    # For each channel: reflectance, light, difference, and the image's slopes.
    red, light_red, dr, red_x, red_y = _channel(
        0, images, size, pixels, x, y, reflectance, frontal_count, i, given, functions
    )
    green, light_green, dg, green_x, green_y = _channel(
        1, images, size, pixels, x, y, reflectance, frontal_count, i, given, functions
    )
    blue, light_blue, db, blue_x, blue_y = _channel(
        2, images, size, pixels, x, y, reflectance, frontal_count, i, given, functions
    )
    # No NaN of the pose may be lost because it makes a vertex not count.
    square = dr * dr + dg * dg + db * db + 0.0 * depth
    distance = tl.sqrt(at_least(square, LEAST_SQUARE))
    _store_sum(sums, columns, ERROR, part * distance)
    _store_sum(sums, columns, COUNTED, part)
    if areas:
        tl.store(grad_areas + image * frontal_count + i, each * (distance - background_cost), mask=real)

    slope = tl.where(square > LEAST_SQUARE, part / distance, 0.0)
    dr, dg, db = slope * dr, slope * dg, slope * db
    by_reflectance = -dr * light_red, -dg * light_green, -db * light_blue
    _store_vector(grad_reflectance + at_frontal, i, frontal_count, by_reflectance, real)

    by_light = -dr * red, -dg * green, -db * blue
    for channel in tl.static_range(3):
        for band in tl.static_range(9):
            _store_sum(sums, columns, LIT + 3 * band + channel, by_light[channel] * functions[band])
    gx, gy, gz = normal_gradient(nx, ny, nz, given, by_light)
    # Where there is no normal, its length is a constant.
    along = tl.where(has_normal, gx * nx + gy * ny + gz * nz, 0.0)
    turned = (gx - along * nx) / length, (gy - along * ny) / length, (gz - along * nz) / length
    _store_vector(grad_normals + at_frontal, i, frontal_count, to_model(turned, rotation), real)

    by_u = moves_x * (dr * red_x + dg * green_x + db * blue_x)
    by_v = moves_y * (dr * red_y + dg * green_y + db * blue_y)
    moved = unproject(by_u, by_v, px, py, depth, scale)
    by_vertex = to_model(moved, rotation)
    _store_vector(grad_vertices + at_frontal, i, frontal_count, by_vertex, real)
    for row in tl.static_range(3):
        for column in tl.static_range(3):
            value = vertex[row] * moved[column] + total[row] * turned[column]
            _store_sum(sums, columns, 3 * row + column, value)
        _store_sum(sums, columns, MOVED + row, -by_vertex[row])


@triton.jit
def compare_back(
    given, given_stride, vertices, corners, frontal_count, count, ring, size, focal, rest_distance,
    grad_vertices, grad_normals, grad_areas, sums, columns, first_column, gradient,
    areas: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The whole gradients of all vertices (B, 3, V), into `gradient`.

    Grid: blocks of all vertices, images.

    Args:
        given, vertices, corners, grad_vertices, grad_normals, grad_areas: as in `compare`; what is not frontal does
            not count.
        sums: with `areas`, each program fills a column from `first_column` on with gradients of the pose; other rows
            stay as they are.
    """
    program, image = tl.program_id(0), tl.program_id(1).to(tl.int64)
    lanes = program * block + tl.arange(0, block)
    real = lanes < count
    i = tl.minimum(lanes, count - 1)
    vertices += image * 3 * count
    grad_vertices += image * 3 * frontal_count
    grad_normals += image * 3 * frontal_count
    grad_areas += image * frontal_count

    own, own_gradient = load_vector(vertices, i, count), _load_frontal(grad_normals, i, frontal_count)
    x, y, z = _load_frontal(grad_vertices, i, frontal_count)
    if areas:
        given += image * given_stride
        rotation, translation = rotation_matrix(given), load_vector(given + TRANSLATION, 0, 1)
        own_pixel = project(own, rotation, translation, focal, rest_distance, size)
        own_area = tl.load(grad_areas + i, mask=i < frontal_count, other=0.0)
        by_u, by_v = _zeros(i), _zeros(i)
    for k in range(ring):
        b, c = tl.load(corners + 2 * k * count + i), tl.load(corners + (2 * k + 1) * count + i)
        at_b, at_c = load_vector(vertices, b, count), load_vector(vertices, c, count)
        # A triangle's sum is (b − a) × (c − a) = a × b + b × c + c × a. Its gradient with respect to a is (b − c) × g
        # with the g of its three corners.
        of_b, of_c = _load_frontal(grad_normals, b, frontal_count), _load_frontal(grad_normals, c, frontal_count)
        normal = _plus(own_gradient, _plus(of_b, of_c))
        ax, ay, az = cross(minus(at_b, at_c), normal)
        x, y, z = x + ax, y + ay, z + az
        if areas:
            bu, bv = project(at_b, rotation, translation, focal, rest_distance, size)
            cu, cv = project(at_c, rotation, translation, focal, rest_distance, size)
            share = own_area + tl.load(grad_areas + b, mask=b < frontal_count, other=0.0)
            share += tl.load(grad_areas + c, mask=c < frontal_count, other=0.0)
            share = tl.where(_doubled_area(own_pixel[0], own_pixel[1], bu, bv, cu, cv) > 0, share / 6, 0.0)
            by_u += share * (cv - bv)
            by_v += share * (bu - cu)
    if areas:
        vertex = minus(own, translation)
        px, py, pz = to_camera(vertex, rotation)
        depth = rest_distance - pz
        by_u, by_v = tl.where(real, by_u, 0.0), tl.where(real, by_v, 0.0)
        moved = unproject(by_u, by_v, px, py, depth, focal / depth)
        by_vertex = to_model(moved, rotation)
        x, y, z = x + by_vertex[0], y + by_vertex[1], z + by_vertex[2]
        sums += image * SUMS * columns + first_column + program
        for row in tl.static_range(3):
            for column in tl.static_range(3):
                _store_sum(sums, columns, 3 * row + column, vertex[row] * moved[column])
            _store_sum(sums, columns, MOVED + row, -by_vertex[row])
    _store_vector(gradient + image * 3 * count, i, count, (x, y, z), real)


@triton.jit
def finish(
    given, given_stride, sums, batch, background_cost, losses, errors, gradient, gradient_stride,
    block: tl.constexpr,
):  # fmt: skip
    """Losses, errors and the gradients of rotation, translation and light, from the sums (B, SUMS) over all vertices.

    Grid: blocks of images.
    """
    lanes = tl.program_id(0) * block + tl.arange(0, block)
    real = lanes < batch
    image = tl.minimum(lanes, batch - 1).to(tl.int64)
    given += image * given_stride
    sums += image * SUMS
    gradient += image * gradient_stride
    error, counted = tl.load(sums + ERROR), tl.load(sums + COUNTED)
    tl.store(losses + image, error - background_cost * counted, mask=real)
    tl.store(errors + image, error / counted, mask=real)
    for k in tl.static_range(30):
        tl.store(gradient + TRANSLATION + k, tl.load(sums + MOVED + k), mask=real)

    # d R = R [J dr]ₓ, so the entries of Rᵀ · gradient count against those of a skew matrix; see
    # `mofa3d.kernels.rotations`.
    rotation = rotation_matrix(given)
    by_row = load_vector(sums, 0, 1), load_vector(sums, 3, 1), load_vector(sums, 6, 1)
    axis = (
        _entry(rotation, by_row, 2, 1) - _entry(rotation, by_row, 1, 2),
        _entry(rotation, by_row, 0, 2) - _entry(rotation, by_row, 2, 0),
        _entry(rotation, by_row, 1, 0) - _entry(rotation, by_row, 0, 1),
    )
    vector = load_vector(given, 0, 1)
    angle = tl.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2])
    half = sinc(0.5 * angle)
    first = 0.5 * half * half
    safe = at_least(angle, SMALL)
    second = tl.where(angle < SMALL, 1 / 6 - angle * angle / 120, (safe - tl.sin(safe)) / (safe * safe * safe))
    once = cross(vector, axis)
    twice = cross(vector, once)
    for k in tl.static_range(3):
        tl.store(gradient + k, axis[k] + first * once[k] + second * twice[k], mask=real)


@triton.jit
def _surroundings(
    i, own, corners, vertices, count, ring, rotation, translation, focal, rest_distance, size, areas: tl.constexpr
):
    """The sum of the face normals around vertices, and a third of the image areas that are turned to the camera."""
    x, y, z, area = _zeros(i), _zeros(i), _zeros(i), _zeros(i)
    if areas:
        u, v = project(own, rotation, translation, focal, rest_distance, size)
    for k in range(ring):
        b, c = tl.load(corners + 2 * k * count + i), tl.load(corners + (2 * k + 1) * count + i)
        at_b, at_c = load_vector(vertices, b, count), load_vector(vertices, c, count)
        ax, ay, az = cross(minus(at_b, own), minus(at_c, own))
        x, y, z = x + ax, y + ay, z + az
        if areas:
            bu, bv = project(at_b, rotation, translation, focal, rest_distance, size)
            cu, cv = project(at_c, rotation, translation, focal, rest_distance, size)
            area += at_least(_doubled_area(u, v, bu, bv, cu, cv), 0.0) / 6
    return (x, y, z), area


@triton.jit
def _channel(channel, images, size, pixels, x, y, reflectance, frontal_count, i, given, functions):
    """Reflectance, light, the photograph's difference from their product, and its slopes, bilinearly."""
    images += channel * size * size
    a, b = tl.load(images + pixels[0]).to(tl.float32), tl.load(images + pixels[1]).to(tl.float32)
    c, d = tl.load(images + pixels[2]).to(tl.float32), tl.load(images + pixels[3]).to(tl.float32)
    over, under = a + x * (b - a), c + x * (d - c)
    own, light = tl.load(reflectance + channel * frontal_count + i), EVEN + tl.load(given + LIGHT + channel)
    for band in tl.static_range(1, 9):
        light += tl.load(given + LIGHT + 3 * band + channel) * functions[band]
    return own, light, over + y * (under - over) - own * light, b - a + y * (d - c - b + a), under - over


@triton.jit
def _between(pixel, size):
    """Fraction and indices of the two pixels around a coordinate, and 0 where it is held at the border, else 1."""
    last = size - 1.0
    at = pixel - 0.5
    moves = tl.where((at > 0) & (at < last), 1.0, 0.0)
    at = tl.where(at > 0, at, 0.0)  # NaN too: it must not become an index
    at = tl.where(at < last, at, last)
    first = tl.minimum(at.to(tl.int32), tl.maximum(size - 2, 0))
    return at - first.to(tl.float32), first, tl.minimum(first + 1, size - 1), moves


@triton.jit
def _entry(rotation, gradient, row, column):
    """An entry of Rᵀ · gradient."""
    product = rotation[0][row] * gradient[0][column]
    return product + rotation[1][row] * gradient[1][column] + rotation[2][row] * gradient[2][column]


@triton.jit
def _zeros(i):
    return tl.full(i.shape, 0.0, tl.float32)


@triton.jit
def _plus(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@triton.jit
def _doubled_area(u, v, bu, bv, cu, cv):
    """Twice the area of a triangle; counter-clockwise faces turn clockwise in pixels, where y points down."""
    return (cu - u) * (bv - v) - (bu - u) * (cv - v)


@triton.jit
def _load_frontal(rows, i, count):
    """Vectors of which only the first `count` are not 0."""
    known = i < count
    x, y = tl.load(rows + i, mask=known, other=0.0), tl.load(rows + count + i, mask=known, other=0.0)
    return x, y, tl.load(rows + 2 * count + i, mask=known, other=0.0)


@triton.jit
def _store_vector(rows, i, stride, vector, known):
    for axis in tl.static_range(3):
        tl.store(rows + axis * stride + i, vector[axis], mask=known)


@triton.jit
def _store_sum(sums, columns, row, value):
    tl.store(sums + row * columns, tl.sum(value, axis=0))
