"""Eyes, lids and the inside of the mouth as parts of their own in a reflectance that was learned from photographs.

Fitted faces never lie exactly on the eyes of a photograph, so that learning smears sclera, iris, lashes and lids into
one grey, which shows as soon as lids close or eyes turn. Here each part has one color, which varies as the learned
modes vary it on average: sclera, iris and pupil lie on the eyeball, and lids have the color of the skin around them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
import torch
from jaxtyping import Bool, Float
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from mofa3d.morphable_model import DARK, MorphableModel

EYES = (slice(36, 42), slice(42, 48))  # iBUG points
BALL = 15.0  # mm from the middle of an eye's points to that of its eyeball, at most
IRIS, PUPIL, SOFT = 5.9, 2.2, 0.5  # mm from the eye's axis, and how soft their edges are
SCLERA_COLOR, IRIS_COLOR, PUPIL_COLOR = (0.60, 0.56, 0.54), (0.30, 0.21, 0.15), (0.05, 0.04, 0.04)
RING = 0.55  # darkness of the iris at its edge
LID_SHADOW = (1.0, 6.0, 0.45)  # mm above the axis where it begins and ends, and its strength
LIDS, FADING = 2.0, 2.5  # mm from the lids' edges that are colored by the skin around them, and then over which
LASHES = (0.9, 0.55, 0.25)  # mm from the edges, and strength on the upper and the lower lid
MOUTH_COLOR = (0.30, 0.12, 0.11)  # at the lips
DEEP, DEEPEST = 30.0, 0.25  # mm behind the lips where the mouth is darkest, and how dark


class Colors(NamedTuple):
    """Mean (N, 3) and modes (N, 3, K), display RGB."""

    mean: Float[np.ndarray, "N 3"]
    basis: Float[np.ndarray, "N 3 K"]


def colored_by_part(model: MorphableModel, painted: MorphableModel) -> MorphableModel:
    """The model with one color for each part of eyes and mouth.

    Args:
        model: the default model with a learned reflectance.
        painted: the default model with its pigments, which says what is the inside of the mouth.
    """
    vertices, faces = model.mean_shape.double().numpy(), model.faces.numpy()
    landmarks = model.at_landmarks(model.mean_shape.double()).numpy()
    colors = Colors(model.mean_reflectance.double().numpy().copy(), model.reflectance_basis.double().numpy().copy())
    pieces = connected_components(_graph(faces, len(vertices)), directed=False)[1]
    for eye in EYES:
        middle = landmarks[eye].mean(axis=0)
        ball = _eyeball(vertices, pieces, middle)
        _color_lids(colors, vertices, faces, pieces == pieces[faces[model.landmark_faces[30], 0]], landmarks[eye], ball)
        _color_eyeball(colors, vertices, ball)
    inside = ~painted.frontal.numpy() & (painted.mean_reflectance.amax(dim=1).numpy() < DARK)
    depth = np.clip((landmarks[[62, 66], 2].mean() - vertices[inside, 2]) / DEEP, 0, 1)[:, None]
    colors.mean[inside] = np.array(MOUTH_COLOR) * (1 - (1 - DEEPEST) * depth)
    colors.basis[inside] = 0
    return model.with_reflectance(torch.from_numpy(colors.mean).float(), torch.from_numpy(colors.basis).float())


def _graph(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = sparse.csr_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(count, count))
    return ((graph + graph.T) > 0).astype(float)


def _eyeball(vertices: np.ndarray, pieces: np.ndarray, middle: np.ndarray) -> Bool[np.ndarray, "N"]:
    """The piece of the mesh whose middle is nearest to that of an eye's landmarks."""
    numbers = np.unique(pieces)
    middles = np.array([_middle(vertices[pieces == number]) for number in numbers])
    distance = np.linalg.norm(middles - middle, axis=1)
    if distance.min() > BALL:
        raise ValueError(f"no eyeball within {BALL:g} mm of the landmarks of an eye; is this the default model?")
    return pieces == numbers[distance.argmin()]


def _middle(points: np.ndarray) -> np.ndarray:
    return (points.min(axis=0) + points.max(axis=0)) / 2


def _color_eyeball(colors: Colors, vertices: np.ndarray, ball: np.ndarray) -> None:
    local = vertices[ball] - _middle(vertices[ball])
    radius = np.where(local[:, 2] > 0, np.linalg.norm(local[:, :2], axis=1), np.inf)
    iris, pupil = (1 / (1 + np.exp(np.clip((radius - edge) / (SOFT / 2), -30, 30))) for edge in (IRIS, PUPIL))
    ring = 1 - RING * np.exp(-np.square((radius - IRIS) / 1.0)) * (radius <= IRIS + SOFT)
    start, end, strength = LID_SHADOW
    shade = 1 - strength * np.clip((local[:, 1] - start) / (end - start), 0, 1)
    shares = np.stack([1 - iris, (iris - pupil) * ring, pupil], axis=1) * shade[:, None]
    colors.mean[ball] = shares @ np.array([SCLERA_COLOR, IRIS_COLOR, PUPIL_COLOR])
    seen = (local[:, 2] > 0) & (np.abs(local[:, 1]) < start + 2)
    learned = colors.basis[ball]
    white = learned[seen & (radius > IRIS)].mean(axis=(0, 1))[None].repeat(3, axis=0)  # whiter or darker, never colored
    colored = learned[seen & (radius < IRIS)].mean(axis=0)
    colors.basis[ball] = np.einsum("np,pck->nck", shares[:, :2], np.stack([white, colored]))


def _color_lids(
    colors: Colors,
    vertices: np.ndarray,
    faces: np.ndarray,
    skin: np.ndarray,
    points: Float[np.ndarray, "6 3"],
    ball: np.ndarray,
) -> None:
    edge = _lid_edge(vertices, faces, skin, _middle(vertices[ball]), np.ptp(vertices[ball], axis=0).max() / 2)
    distance, _ = cKDTree(vertices[edge]).query(vertices)
    distance[~skin] = np.inf
    region = np.flatnonzero(distance < LIDS + FADING)
    share = np.clip((LIDS + FADING - distance[region]) / FADING, 0, 1)[:, None]
    width, upper, lower = LASHES
    corners = points[[0, 3]]
    corners = corners[corners[:, 0].argsort()]
    above = vertices[region, 1] > np.interp(vertices[region, 0], corners[:, 0], corners[:, 1])
    light = 1 - (np.where(above, upper, lower) * np.exp(-np.square(distance[region] / width)))[:, None]
    for values, filled in zip(colors, _filled(colors, faces, distance < LIDS + FADING), strict=True):
        flat = values.reshape(len(values), -1)
        flat[region] = light * (share * filled + (1 - share) * flat[region])


def _lid_edge(
    vertices: np.ndarray, faces: np.ndarray, skin: np.ndarray, middle: np.ndarray, radius: float
) -> np.ndarray:
    """The vertices of the skin's free edge around an eyeball."""
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    border = np.unique(edges[count == 1])
    border = border[skin[border]]
    return border[np.linalg.norm(vertices[border] - middle, axis=1) < 1.5 * radius]


def _filled(colors: Colors, faces: np.ndarray, inside: Bool[np.ndarray, "N"]) -> list[Float[np.ndarray, "M C"]]:
    """Mean and modes in a region, flat, that continue those around it as smoothly as possible."""
    graph = _graph(faces, len(inside))
    laplacian = (sparse.diags(graph.sum(axis=1).A1) - graph).tocsr()[inside]
    solve = scipy.sparse.linalg.splu(laplacian[:, inside].tocsc()).solve
    coupling = -laplacian[:, ~inside]
    return [solve(coupling @ values.reshape(len(values), -1)[~inside]) for values in colors]
