"""Numba kernels of the CPU rasterizer: one call does a band of rows of one image and releases the GIL.

Pixels are x right, y down, with the centre of the top-left pixel at (0.5, 0.5). All arithmetic is in float64:
differences of float32 pixel positions are then exact, so two triangles that share an edge leave no gap between them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mofa3d.kernels.compiled import compiled

NEAREST_DEPTH = 1e-8  # a face with a vertex nearer than this is dropped whole, as in PyTorch3D
SMALLEST_AREA = 1e-12  # twice the area in square pixels; below it barycentric coordinates mean nothing

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}


@njit(inline="always")
def _edge(px, py, ax, ay, bx, by):
    """Twice the signed area of (p, a, b); positive when a front-facing (counter-clockwise seen) triangle contains p."""
    return (px - ax) * (by - ay) - (py - ay) * (bx - ax)


@njit(inline="always")
def _corners(pixels, depth, faces, face):
    """A face's vertices: their indices, x, y and depths."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    x = float(pixels[a, 0]), float(pixels[b, 0]), float(pixels[c, 0])
    y = float(pixels[a, 1]), float(pixels[b, 1]), float(pixels[c, 1])
    return (a, b, c), x, y, (float(depth[a]), float(depth[b]), float(depth[c]))


@njit(inline="always")
def _coordinates(px, py, x0, y0, x1, y1, x2, y2):
    """Twice the signed area of a face, and the barycentric coordinates of p that are linear in the image."""
    area = _edge(x0, y0, x1, y1, x2, y2)
    b0, b1, b2 = _edge(px, py, x1, y1, x2, y2), _edge(px, py, x2, y2, x0, y0), _edge(px, py, x0, y0, x1, y1)
    return area, b0 / area, b1 / area, b2 / area


@njit(inline="always")
def _squared_distance_to_segment(px, py, ax, ay, bx, by):
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    t = 0.0
    if length > 0.0:
        t = min(max(((px - ax) * dx + (py - ay) * dy) / length, 0.0), 1.0)
    ex, ey = px - ax - t * dx, py - ay - t * dy
    return ex * ex + ey * ey


@compiled(**_OPTIONS)
def find_nearest_faces(pixels, depth, faces, first_row, last_row, perspective, cull_backfaces, nearest, best):
    """Write into `nearest` (H, W) int64 the index of the nearest face at each pixel, or -1.

    Only rows first_row to last_row - 1 are written. A pixel on an edge belongs to both faces; at equal depth the lower
    index wins. Faces that are degenerate, not finite or reach behind the camera are skipped.

    `best` (rows, W), float64, becomes how near they are, or -∞: inverse depth under perspective (it is linear in the
    image), else negative depth.
    """
    width = nearest.shape[1]
    best[:] = -np.inf
    nearest[first_row:last_row] = -1
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        y0, y1, y2 = float(pixels[a, 1]), float(pixels[b, 1]), float(pixels[c, 1])
        # Most faces of a dense mesh contain no pixel centre: leave as early as possible.
        top = math.ceil(max(min(y0, y1, y2) - 0.5, float(first_row)))
        bottom = math.floor(min(max(y0, y1, y2) - 0.5, last_row - 1.0))
        if not top <= bottom:
            continue
        x0, x1, x2 = float(pixels[a, 0]), float(pixels[b, 0]), float(pixels[c, 0])
        left = math.ceil(max(min(x0, x1, x2) - 0.5, 0.0))
        right = math.floor(min(max(x0, x1, x2) - 0.5, width - 1.0))
        if not left <= right:
            continue
        z0, z1, z2 = float(depth[a]), float(depth[b]), float(depth[c])
        # Written so that NaN fails every comparison.
        if not (z0 > NEAREST_DEPTH and z1 > NEAREST_DEPTH and z2 > NEAREST_DEPTH and z0 + z1 + z2 < np.inf):
            continue
        area = _edge(x0, y0, x1, y1, x2, y2)
        if not SMALLEST_AREA < abs(area) < np.inf or (cull_backfaces and area < 0.0):
            continue
        if perspective:
            k0, k1, k2 = 1.0 / (area * z0), 1.0 / (area * z1), 1.0 / (area * z2)
        else:
            k0, k1, k2 = -z0 / area, -z1 / area, -z2 / area
        sign = 1.0 if area > 0.0 else -1.0
        for row in range(int(top), int(bottom) + 1):
            py = row + 0.5
            for column in range(int(left), int(right) + 1):
                px = column + 0.5
                e0 = _edge(px, py, x1, y1, x2, y2)
                e1 = _edge(px, py, x2, y2, x0, y0)
                e2 = _edge(px, py, x0, y0, x1, y1)
                if sign * e0 >= 0.0 and sign * e1 >= 0.0 and sign * e2 >= 0.0:
                    nearness = e0 * k0 + e1 * k1 + e2 * k2
                    if nearness > best[row - first_row, column]:
                        best[row - first_row, column] = nearness
                        nearest[row, column] = face


@compiled(**_OPTIONS)
def locate(pixels, depth, faces, first_row, last_row, perspective, first_face, to_ndc, face_index, bary, zbuf, dists):
    """Barycentric coordinates, depth and signed squared distance to the face's border at each pixel's face.

    Turns local face indices in `face_index` (H, W) into packed ones by adding `first_face`; empty pixels get -1
    everywhere. `to_ndc` scales a length in pixels to PyTorch3D's NDC, the unit of `dists`.
    """
    for row in range(first_row, last_row):
        py = row + 0.5
        for column in range(face_index.shape[1]):
            face = face_index[row, column]
            if face < 0:
                bary[row, column, 0] = bary[row, column, 1] = bary[row, column, 2] = -1.0
                zbuf[row, column] = dists[row, column] = -1.0
                continue
            px = column + 0.5
            _, (x0, x1, x2), (y0, y1, y2), (z0, z1, z2) = _corners(pixels, depth, faces, face)
            _, b0, b1, b2 = _coordinates(px, py, x0, y0, x1, y1, x2, y2)
            if perspective:
                b0, b1, b2 = b0 / z0, b1 / z1, b2 / z2
                z = 1.0 / (b0 + b1 + b2)
                b0, b1, b2 = b0 * z, b1 * z, b2 * z
            else:
                z = b0 * z0 + b1 * z1 + b2 * z2
            bary[row, column, 0], bary[row, column, 1], bary[row, column, 2] = b0, b1, b2
            zbuf[row, column] = z
            distance = min(
                _squared_distance_to_segment(px, py, x0, y0, x1, y1),
                _squared_distance_to_segment(px, py, x1, y1, x2, y2),
                _squared_distance_to_segment(px, py, x2, y2, x0, y0),
            )
            dists[row, column] = -distance * to_ndc * to_ndc
            face_index[row, column] = face + first_face


@compiled(**_OPTIONS)
def locate_backward(
    pixels,
    depth,
    faces,
    first_row,
    last_row,
    perspective,
    first_face,
    face_index,
    grad_bary,
    grad_zbuf,
    grad_pixels,
    grad_depth,
):
    """Add to `grad_pixels` (N, 2) and `grad_depth` (N,) the gradient of `locate`'s coordinates and depths.

    With linear coordinates l, moving vertex k by δ moves the surface point at l by l_k δ; the coordinates at a fixed
    pixel therefore change as if the pixel had moved by -l_k δ, so one vector per pixel serves all three vertices.
    """
    for row in range(first_row, last_row):
        py = row + 0.5
        for column in range(face_index.shape[1]):
            if face_index[row, column] < 0:
                continue
            g0 = float(grad_bary[row, column, 0])
            g1 = float(grad_bary[row, column, 1])
            g2 = float(grad_bary[row, column, 2])
            gz = float(grad_zbuf[row, column])
            if g0 == 0.0 and g1 == 0.0 and g2 == 0.0 and gz == 0.0:
                continue
            px = column + 0.5
            face = face_index[row, column] - first_face
            (a, b, c), (x0, x1, x2), (y0, y1, y2), (z0, z1, z2) = _corners(pixels, depth, faces, face)
            area, l0, l1, l2 = _coordinates(px, py, x0, y0, x1, y1, x2, y2)
            if perspective:
                q0, q1, q2 = l0 / z0, l1 / z1, l2 / z2
                z = 1.0 / (q0 + q1 + q2)
                shared = (g0 * q0 + g1 * q1 + g2 * q2) * z + gz * z  # d/dq_j of every coordinate's denominator
                g0, g1, g2 = (g0 - shared) * z / z0, (g1 - shared) * z / z1, (g2 - shared) * z / z2
                d0, d1, d2 = -g0 * q0, -g1 * q1, -g2 * q2
            else:
                d0, d1, d2 = gz * l0, gz * l1, gz * l2
                g0, g1, g2 = g0 + gz * z0, g1 + gz * z1, g2 + gz * z2
            grad_depth[a] += d0
            grad_depth[b] += d1
            grad_depth[c] += d2
            gx = (g0 * (y2 - y1) + g1 * (y0 - y2) + g2 * (y1 - y0)) / area
            gy = (g0 * (x1 - x2) + g1 * (x2 - x0) + g2 * (x0 - x1)) / area
            grad_pixels[a, 0] -= l0 * gx
            grad_pixels[a, 1] -= l0 * gy
            grad_pixels[b, 0] -= l1 * gx
            grad_pixels[b, 1] -= l1 * gy
            grad_pixels[c, 0] -= l2 * gx
            grad_pixels[c, 1] -= l2 * gy
