"""Pairs of triangles of one mesh that pass through each other."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float, Int


def crossing_triangles(vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "K 2"]:
    """Triangles that cross, among those without a common edge, found by sweeping along x.

    Of two that share a vertex, the side opposite to it must pass through the other.
    """
    corners = np.ascontiguousarray(vertices[faces], dtype=np.float64)
    order = np.argsort(corners[:, :, 0].min(axis=1), kind="stable")
    return order[_sweep(corners[order], faces[order].astype(np.int64))]


@numba.njit(cache=True)
def _sweep(corners, faces):
    count = len(corners)
    low, high = np.empty((count, 3)), np.empty((count, 3))
    for i in range(count):
        for axis in range(3):
            low[i, axis] = min(corners[i, 0, axis], corners[i, 1, axis], corners[i, 2, axis])
            high[i, axis] = max(corners[i, 0, axis], corners[i, 1, axis], corners[i, 2, axis])
    pairs = []
    for i in range(count):
        for j in range(i + 1, count):
            if low[j, 0] > high[i, 0]:
                break
            if low[j, 1] > high[i, 1] or low[i, 1] > high[j, 1] or low[j, 2] > high[i, 2] or low[i, 2] > high[j, 2]:
                continue
            if _cross(corners[i], corners[j], faces[i], faces[j]):
                pairs.append((i, j))
    result = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        result[k, 0], result[k, 1] = pairs[k]
    return result


@numba.njit(cache=True)
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


@numba.njit(cache=True)
def _has(face, vertex):
    return face[0] == vertex or face[1] == vertex or face[2] == vertex


@numba.njit(cache=True)
def _pierces(start, end, triangle):
    """Whether a segment passes through a triangle (Möller and Trumbore 1997)."""
    way = end - start
    one, two = triangle[1] - triangle[0], triangle[2] - triangle[0]
    across = np.cross(way, two)
    volume = one @ across
    if abs(volume) < 1e-14:
        return False
    offset = start - triangle[0]
    u = (offset @ across) / volume
    if u < 0 or u > 1:
        return False
    turned = np.cross(offset, one)
    v = (way @ turned) / volume
    if v < 0 or u + v > 1:
        return False
    along = (two @ turned) / volume
    return 0 <= along <= 1
