"""Nearest points on a triangle mesh."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from mofa3d.kernels.normals import VertexNormals

CANDIDATES = 12  # triangles examined for each point: those with the nearest centres
WRONG_SIDE = 10.0  # mm added to the distance of a surface that looks the other way


class SurfacePoints(NamedTuple):
    """Points on a mesh.

    Attributes:
        faces: triangles.
        weights: barycentric, of their corners.
        distances: mm from the points asked for.
        agreement: cosine between the normals asked for and the triangles', 1 if none were.
    """

    faces: Int[np.ndarray, "K"]
    weights: Float[np.ndarray, "K 3"]
    distances: Float[np.ndarray, "K"]
    agreement: Float[np.ndarray, "K"]

    def interpolate(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Values at vertices (N, …) at the points (K, …)."""
        return np.einsum("kj,kj...->k...", self.weights, values[faces[self.faces]])


def vertex_normals(vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "N 3"]:
    """`mofa3d.kernels.normals.VertexNormals` of one mesh in NumPy."""
    normals = VertexNormals(torch.from_numpy(np.ascontiguousarray(faces)), len(vertices))
    return normals(torch.from_numpy(np.ascontiguousarray(vertices))[None])[0].numpy()


def nearest_surface(
    points: Float[np.ndarray, "K 3"],
    vertices: Float[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    normals: Float[np.ndarray, "K 3"] | None = None,
) -> SurfacePoints:
    """The nearest points of a surface, mm; with normals, surfaces that look the same way are preferred.

    Only the `CANDIDATES` triangles with the nearest centres are examined, which is exact where triangles are of about
    one size.
    """
    from trimesh import triangles as of_triangles  # many modules, which those who only read points do without

    triangles = vertices[faces]
    _, candidates = cKDTree(triangles.mean(axis=1)).query(points, k=min(CANDIDATES, len(faces)))
    candidates = candidates.reshape(len(points), -1)
    count = candidates.shape[1]
    asked = np.repeat(points, count, axis=0)
    closest = of_triangles.closest_point(triangles[candidates.ravel()], asked)
    distances = np.linalg.norm(closest - asked, axis=1).reshape(-1, count)
    agreement = np.ones_like(distances)
    if normals is not None:
        sides = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        sides /= np.maximum(np.linalg.norm(sides, axis=1, keepdims=True), 1e-12)
        agreement = np.einsum("ki,kci->kc", normals, sides[candidates])
    best = (distances + WRONG_SIDE * (agreement < 0)).argmin(axis=1)
    rows = np.arange(len(points))
    chosen = candidates[rows, best]
    weights = of_triangles.points_to_barycentric(triangles[chosen], closest.reshape(-1, count, 3)[rows, best])
    weights = np.nan_to_num(weights, nan=1 / 3).clip(0, 1)  # a triangle without area has no coordinates
    weights /= weights.sum(axis=1, keepdims=True)
    return SurfacePoints(chosen, weights, distances[rows, best], agreement[rows, best])
