"""Pairs of triangles of one mesh that pass through each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from mofa3d.kernels.compiled import compiled

SLABS = 64  # along z, at most


def crossing_triangles(vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "K 2"]:
    """Triangles that cross, among those without a common edge, found by sweeping along x.

    Of two that share a vertex, the side opposite to it must pass through the other.
    """
    corners = np.ascontiguousarray(vertices[faces], dtype=np.float64)
    order = np.argsort(corners[:, :, 0].min(axis=1), kind="stable")
    return order[_sweep(corners[order], faces[order].astype(np.int64))]


@compiled()
def _sweep(corners, faces):
    """Sweep along x in slabs of z; a pair belongs to the slab in which its common part begins."""
    count = len(corners)
    low, high = np.empty((count, 3)), np.empty((count, 3))
    for i in range(count):
        for axis in range(3):
            low[i, axis] = min(corners[i, 0, axis], corners[i, 1, axis], corners[i, 2, axis])
            high[i, axis] = max(corners[i, 0, axis], corners[i, 1, axis], corners[i, 2, axis])
    bottom, depth = low[:, 2].min(), high[:, 2].max() - low[:, 2].min()
    slabs = max(1, min(SLABS, count // 100))
    step = max(depth / slabs, 1e-300)
    pairs = []
    chosen = np.empty(count, np.int64)
    for slab in range(slabs):
        begin, end = bottom + slab * step, bottom + (slab + 1) * step
        if slab == slabs - 1:
            end = np.inf
        inside = 0
        for i in range(count):
            if low[i, 2] < end and high[i, 2] >= begin:
                chosen[inside] = i
                inside += 1
        for a in range(inside):
            i = chosen[a]
            for b in range(a + 1, inside):
                j = chosen[b]
                if low[j, 0] > high[i, 0]:
                    break
                if low[j, 1] > high[i, 1] or low[i, 1] > high[j, 1] or low[j, 2] > high[i, 2] or low[i, 2] > high[j, 2]:
                    continue
                first = max(low[i, 2], low[j, 2])
                if begin <= first < end and _cross(corners[i], corners[j], faces[i], faces[j]):
                    pairs.append((i, j))
    result = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        result[k, 0], result[k, 1] = pairs[k]
    return result


@compiled()
def _cross(a, b, first, second):
    shared = 0
    for i in range(3):
        for j in range(3):
            shared += first[i] == second[j]
    if shared > 1:
        return False
    for i in range(3):
        k = (i + 1) % 3
        if not _has(second, first[i]) and not _has(second, first[k]) and _pierces(a[i], a[k], b):
            return True
        if not _has(first, second[i]) and not _has(first, second[k]) and _pierces(b[i], b[k], a):
            return True
    return False


@compiled()
def _has(face, vertex):
    return face[0] == vertex or face[1] == vertex or face[2] == vertex


@compiled()
def _pierces(start, end, triangle):
    """Whether a segment passes through a triangle (Möller and Trumbore 1997)."""
    wx, wy, wz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    ax, ay, az = triangle[1, 0] - triangle[0, 0], triangle[1, 1] - triangle[0, 1], triangle[1, 2] - triangle[0, 2]
    bx, by, bz = triangle[2, 0] - triangle[0, 0], triangle[2, 1] - triangle[0, 1], triangle[2, 2] - triangle[0, 2]
    cx, cy, cz = wy * bz - wz * by, wz * bx - wx * bz, wx * by - wy * bx
    volume = ax * cx + ay * cy + az * cz
    if abs(volume) < 1e-14:
        return False
    ox, oy, oz = start[0] - triangle[0, 0], start[1] - triangle[0, 1], start[2] - triangle[0, 2]
    u = (ox * cx + oy * cy + oz * cz) / volume
    if u < 0 or u > 1:
        return False
    tx, ty, tz = oy * az - oz * ay, oz * ax - ox * az, ox * ay - oy * ax
    v = (wx * tx + wy * ty + wz * tz) / volume
    if v < 0 or u + v > 1:
        return False
    along = (bx * tx + by * ty + bz * tz) / volume
    return 0 <= along <= 1
