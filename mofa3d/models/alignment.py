"""Lay the default model over a foreign mean face: by landmarks where there are some, else by shape alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from mofa3d.models.nearest_surface import SurfacePoints, nearest_surface, vertex_normals

ROUNDS, SETTLED = 60, 0.01  # at most, and mm of movement below which no more are needed
SAMPLES = 3000  # vertices of the default model that take part
KEPT = 0.8  # share of the pairs that count in a round; the others may be hair, neck or holes
SCALES = (0.8, 1.3)  # faces differ less; a wider range would let the fit shrink to a spot


class Similarity(NamedTuple):
    """points -> scale · points Rᵀ + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def __call__(self, points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
        return self.scale * points @ self.rotation.T + self.translation

    def after(self, first: Similarity) -> Similarity:
        """Both in one: points -> self(first(points))."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self(first.translation[None])[0])


def similarity(
    source: Float[np.ndarray, "K 3"], target: Float[np.ndarray, "K 3"], scales: tuple[float, float] = SCALES
) -> Similarity:
    """The similarity that brings source points nearest to their targets, in the sense of least squares.

    Args:
        source, target: points.
        scales: least and most; (1, 1) makes it rigid.

    Reference: Umeyama 1991, *Least-squares estimation of transformation parameters between two point patterns*.
    """
    middle, aim = source.mean(axis=0), target.mean(axis=0)
    left, values, right = np.linalg.svd((target - aim).T @ (source - middle))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float(np.clip((values * signs).sum() / np.square(source - middle).sum(), *scales))
    return Similarity(scale, rotation, aim - scale * rotation @ middle)


def align_by_shape(
    vertices: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    target: Float[np.ndarray, "M 3"],
    target_normals: Float[np.ndarray, "M 3"],
) -> Similarity:
    """Lay the front of a face over another face (mm) without knowing a single point: trimmed iterative closest points.

    It starts with the tips of the noses (the foremost vertices) on each other, so the axes of both must agree.

    Reference: Chetverikov et al. 2002, *The Trimmed Iterative Closest Point Algorithm*.
    """
    tip, aim = vertices[vertices[:, 2].argmax()], target[target[:, 2].argmax()]
    moved = Similarity(1.0, np.eye(3), aim - tip)
    every = max(1, len(vertices) // SAMPLES)
    points, sides = vertices[::every], normals[::every]
    # Normals are coordinates as well, so that a point finds no partner on the back of a lid or inside the mouth.
    weight = 20.0  # mm for a turn of one radian
    tree = cKDTree(np.concatenate([target, weight * target_normals], axis=1))
    for _ in range(ROUNDS):
        asked = np.concatenate([moved(points), weight * sides @ moved.rotation.T], axis=1)
        distances, partners = tree.query(asked)
        near = distances <= np.quantile(distances, KEPT)
        before, moved = moved, similarity(points[near], target[partners[near]])
        if np.abs(moved(points) - before(points)).max() < SETTLED:
            break
    return moved


def warp(
    points: Float[np.ndarray, "K 3"], landmarks: Float[np.ndarray, "L 3"], target: Float[np.ndarray, "L 3"]
) -> Float[np.ndarray, "K 3"]:
    """Move points (mm) smoothly so that landmarks come to lie on their targets: a thin-plate spline.

    Reference: Bookstein 1989, *Principal Warps: Thin-Plate Splines and the Decomposition of Deformations*.
    """
    start = similarity(landmarks, target)
    # The biharmonic spline of three dimensions is linear in the distance. Neighbouring landmarks may disagree a little.
    spline = RBFInterpolator(start(landmarks), target - start(landmarks), kernel="linear", degree=1, smoothing=1.0)
    moved = start(points)
    return moved + spline(moved)


def correspond(
    vertices: Float[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    landmarks: Float[np.ndarray, "68 3"],
    reference_vertices: Float[np.ndarray, "M 3"],
    reference_faces: Int[np.ndarray, "G 3"],
    reference_landmarks: Float[np.ndarray, "68 3"],
) -> SurfacePoints:
    """For each vertex of a mean face (mm) the nearest point of the reference, once that is warped onto it."""
    warped = warp(reference_vertices, reference_landmarks, landmarks)
    return nearest_surface(vertices, warped, reference_faces, vertex_normals(vertices, faces))
