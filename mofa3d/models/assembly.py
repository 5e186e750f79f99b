"""From what a file holds to a `MorphableModel`: orientation, landmarks, place, and whatever the file does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mofa3d.errors import InputError
from mofa3d.models.alignment import correspond
from mofa3d.models.orientation import orient
from mofa3d.models.pigments import transfer_frontal, transfer_landmarks, transfer_reflectance
from mofa3d.models.placement import offset_to_model_space
from mofa3d.morphable_model import LANDMARK_COUNT, LandmarkBarycentric, MorphableModel, check_content


@dataclass(frozen=True)
class FaceData:
    """A face model as stored in its file, except for the units.

    Attributes:
        name: the source.
        vertices: mean shape, mm, published axes and origin.
        faces: triangles in any winding.
        shape_basis, expression_basis: mm per standard deviation.
        reflectance: mean (N, 3) and basis (N, 3, R) per standard deviation, display RGB; ``None``: the default model's.
        landmarks: vertices that are the 68 iBUG points; ``None``: guessed from the default model by shape.
        frontal: the region that the photometric loss uses; ``None``: the default model's.
        uv: texture coordinates, origin at the bottom left.
    """

    name: str
    vertices: Float[np.ndarray, "N 3"]
    faces: Int[np.ndarray, "F 3"]
    shape_basis: Float[np.ndarray, "N 3 S"]
    expression_basis: Float[np.ndarray, "N 3 E"]
    reflectance: tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3 R"]] | None = None
    landmarks: Int[np.ndarray, "68"] | None = None
    frontal: Bool[np.ndarray, "N"] | None = None
    uv: Float[np.ndarray, "N 2"] | None = None


def assemble(
    data: FaceData, reference: MorphableModel | None = None, reflectance_count: int | None = None
) -> MorphableModel:
    """Make the model.

    Args:
        data: what the file holds.
        reference: where missing landmarks, frontal region and reflectance are taken from; the default model unless
            given. It is loaded only if something is missing.
        reflectance_count: how many modes of its reflectance to take; all by default.

    Raises:
        InputError: the mean face does not have the published unit or axes, a number is not finite or beyond any face,
            or the default model is needed and its data are not installed.
    """
    vertices = data.vertices.astype(np.float64)
    faces = orient(vertices, data.faces)
    if reference is None and (data.landmarks is None or data.frontal is None or data.reflectance is None):
        from mofa3d.models import makehuman

        reference = makehuman.load()
    source = cast(MorphableModel, reference)  # None only where nothing is missing
    if data.landmarks is None:
        landmarks = transfer_landmarks(vertices, faces, source)
    else:
        landmarks = at_vertices(data.landmarks, faces)

    def landmark_points() -> np.ndarray:
        corners = vertices[faces[landmarks.faces.numpy()]]
        return np.einsum("kj,kji->ki", landmarks.weights.double().numpy(), corners)

    vertices = vertices + offset_to_model_space(landmark_points())
    frontal, reflectance = data.frontal, data.reflectance
    if frontal is None or reflectance is None:
        found = correspond(
            vertices,
            faces,
            landmark_points(),
            source.mean_shape.double().numpy(),
            source.faces.numpy(),
            source.landmarks(source.mean_shape[None])[0].double().numpy(),
        )
        frontal = transfer_frontal(found, source) if frontal is None else frontal
        if reflectance is None:
            mean, basis = transfer_reflectance(found, source)
            reflectance = mean, first_columns(basis, reflectance_count, "reflectance_count")

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    model = MorphableModel(
        mean_shape=tensor(vertices),
        shape_basis=tensor(data.shape_basis),
        expression_basis=tensor(data.expression_basis),
        mean_reflectance=tensor(reflectance[0]),
        reflectance_basis=tensor(reflectance[1]),
        faces=torch.from_numpy(np.ascontiguousarray(faces, dtype=np.int64)),
        landmark_barycentric=landmarks,
        frontal=torch.from_numpy(np.ascontiguousarray(frontal)),
        uv=None if data.uv is None else tensor(data.uv),
        name=data.name,
    )
    check_content(model.state_dict())
    return model


def at_vertices(vertices: Int[np.ndarray, "68"], faces: Int[np.ndarray, "F 3"]) -> LandmarkBarycentric:
    """Landmarks that are vertices, as corners of triangles.

    Raises:
        InputError: a vertex belongs to no triangle.
    """
    corner_of = np.full(max(int(faces.max()), int(vertices.max())) + 1, -1)
    corners = faces.ravel()
    corner_of[corners[::-1]] = np.arange(len(corners))[::-1]
    place = corner_of[vertices]
    if (place < 0).any():
        raise InputError(f"landmark {int(place.argmin())} is vertex {int(vertices[place.argmin()])}, on no triangle")
    weights = torch.zeros(LANDMARK_COUNT, 3, dtype=torch.float32)
    weights[torch.arange(LANDMARK_COUNT), torch.from_numpy(place % 3)] = 1
    return LandmarkBarycentric(torch.from_numpy(place // 3), weights)


def given_landmarks(landmarks: Sequence[int] | None, vertex_count: int) -> Int[np.ndarray, "68"] | None:
    """Check the numbers of 68 vertices, counted from 0, that a caller gives.

    Raises:
        InputError: there are not 68, or they are out of range.
    """
    if landmarks is None:
        return None
    indices = np.asarray(landmarks, dtype=np.int64)
    if indices.shape != (LANDMARK_COUNT,):
        raise InputError(f"landmarks has the shape {indices.shape}; expected 68 vertices in iBUG's order")
    if not 0 <= indices.min() <= indices.max() < vertex_count:
        raise InputError(
            f"landmarks has vertices from {indices.min()} to {indices.max()}; the file has 0 to {vertex_count - 1}"
        )
    return indices


def first_columns(basis: np.ndarray, count: int | None, option: str) -> np.ndarray:
    """The strongest modes of a basis (…, K); all of them for ``None``.

    Raises:
        InputError: the file does not have as many.
    """
    if count is None:
        return basis
    if not 0 <= count <= basis.shape[-1]:
        raise InputError(f"{option} is {count}; the file has {basis.shape[-1]} modes: choose 0 to that many")
    return basis[..., :count]


def keep_vertices(keep: Int[np.ndarray, "K"], faces: Int[np.ndarray, "F 3"], count: int) -> Int[np.ndarray, "G 3"]:
    """Triangles between the kept vertices, numbered in the kept order."""
    new = np.full(count, -1)
    new[keep] = np.arange(len(keep))
    renumbered = new[faces]
    return renumbered[(renumbered >= 0).all(axis=1)]
