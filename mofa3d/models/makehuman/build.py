"""Put the default model together: a whole head of about 33,000 vertices, 80 shape, 64 expression and 80 reflectance
modes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import torch
import trimesh

from mofa3d.models.makehuman import expression, source, teeth, units
from mofa3d.models.makehuman.cage import read_cage
from mofa3d.models.makehuman.head_mesh import make_head_mesh, texture_coordinates
from mofa3d.models.makehuman.identity import identity
from mofa3d.models.makehuman.people import read_people
from mofa3d.models.makehuman.reflectance import Surface, reflectance_modes
from mofa3d.models.makehuman.targets import read_targets
from mofa3d.models.placement import FEATURES_CENTRE
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

EXPRESSION_MODES, REFLECTANCE_MODES = 64, 80
SIDE_WEIGHT = 0.15  # of vertices outside the frontal face when expression modes are chosen
FOREHEAD, BACK = 39.0, 12.0  # mm: top of the frontal face above the brow's middle, and its back before the jaw's ends


class Built(NamedTuple):
    """The model, and what single expression units are in its coefficients."""

    model: MorphableModel
    units: units.ExpressionUnits


def build() -> Built:
    """Build the model from the installed data and the statistics of people (deterministic, about half a minute).

    Raises:
        InputError: the data are not installed, or are not those of the statistics.
    """
    random = np.random.default_rng(0)
    data, people = source.data_directory(), read_people()
    cage = read_cage(data)
    head = identity(cage, people, read_targets(data, people.names, cage.base_count, cage.kept))
    mesh = make_head_mesh(cage, head.mean)
    tooth = teeth.make_teeth(cage.tooth_quads, cage.upper, len(cage.vertices))
    landmarks = cage.landmarks(head.mean)

    movements, names = expression.read_units(data, cage.base_count, cage.kept)
    movements = movements * people.scale
    expressions = expression.sample_expressions(movements, names, random)
    used = np.unique(mesh.refine.indices)
    weights = np.where(_is_front(head.mean[used], landmarks), 1.0, SIDE_WEIGHT)
    coarse_modes = expression.expression_modes(expressions[:, used], weights, EXPRESSION_MODES)
    expression_basis = refined(mesh.refine[:, used], coarse_modes)
    biting = np.unique(cage.tooth_quads)
    tooth_expression = teeth.follow(expressions[:, used], coarse_modes, weights, expressions[:, biting])

    vertices = mesh.refine @ head.mean
    surface = Surface(
        vertices=vertices / people.scale,
        triangles=mesh.triangles,
        landmarks=landmarks / people.scale,
        eyes=mesh.eyes,
        mouth=mesh.mouth,
        # A vertex on a seam of the texture may have the coordinates of lips and lie elsewhere.
        lips=source.read_mask(data, "lips", mesh.uv) * ~mesh.mouth * (np.abs(vertices[:, 1] - landmarks[66, 1]) < 30),
        ears=source.read_mask(data, "ears", mesh.uv),
    )
    mean_reflectance, reflectance_basis = reflectance_modes(surface, REFLECTANCE_MODES, random)

    frontal = _frontal(vertices, landmarks, mesh.mouth)
    attached = _attach(landmarks, vertices, mesh.triangles, ~mesh.eyes)
    frontal_movements = refined(mesh.refine[frontal], np.moveaxis(movements, 0, -1))
    codes, explained = units.fit_units(frontal_movements, expression_basis[frontal])

    tooth_vertices = tooth.positions(head.mean, people.scale)
    still = np.zeros((len(tooth_vertices), *reflectance_basis.shape[1:]))
    tooth_uv = texture_coordinates(cage.texture, cage.tooth_quads, cage.tooth_texture_quads, tooth.refine)
    triangles = np.concatenate([mesh.triangles, tooth.triangles + len(vertices)])
    vertices = np.concatenate([vertices, tooth_vertices])
    shape_basis = np.concatenate([refined(part.refine, head.columns) for part in (mesh, tooth)])
    expression_basis = np.concatenate([expression_basis, refined(tooth.refine[:, biting], tooth_expression)])

    def at_landmarks(values: np.ndarray) -> np.ndarray:
        return np.einsum("kj,kj...->k...", attached.weights.numpy(), values[triangles[attached.faces.numpy()]])

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    model = MorphableModel(
        mean_shape=tensor(vertices - at_landmarks(vertices)[27:68].mean(axis=0) + np.array(FEATURES_CENTRE)),
        shape_basis=tensor(shape_basis),
        expression_basis=tensor(expression_basis),
        mean_reflectance=tensor(np.concatenate([mean_reflectance, teeth.reflectance(tooth_vertices)])),
        reflectance_basis=tensor(np.concatenate([reflectance_basis, still])),
        faces=torch.from_numpy(triangles),
        landmark_barycentric=attached,
        frontal=torch.from_numpy(np.concatenate([frontal, np.zeros(len(tooth_vertices), dtype=bool)])),
        uv=tensor(np.concatenate([mesh.uv, tooth_uv])),
        name="makehuman",
    )
    return Built(model, units.make_units(names, codes, explained, at_landmarks(expression_basis)))


def refined(refine: sparse.csr_matrix, modes: np.ndarray) -> np.ndarray:
    """Modes (V, 3, K) of the cage on a finer mesh, (N, 3, K)."""
    count, _, columns = modes.shape
    return (refine @ modes.reshape(count, -1)).reshape(-1, 3, columns)


def _attach(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, allowed: np.ndarray
) -> LandmarkBarycentric:
    """The nearest points on the triangles whose vertices are all allowed, as barycentric coordinates."""
    candidates = np.flatnonzero(allowed[triangles].all(axis=1))
    mesh = trimesh.Trimesh(vertices, triangles[candidates], process=False)
    closest, _, index = trimesh.proximity.closest_point_naive(mesh, points)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[index], closest)
    weights = np.clip(weights, 0, 1)
    weights /= weights.sum(axis=1, keepdims=True)
    return LandmarkBarycentric(torch.from_numpy(candidates[index]), torch.from_numpy(weights.astype(np.float32)))


def _is_front(vertices: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What is not behind the jaw's ends nor above the forehead."""
    behind = landmarks[[0, 16], 2].mean() + BACK
    return (vertices[:, 2] > behind) & (vertices[:, 1] < landmarks[19, 1] + FOREHEAD)


def _frontal(vertices: np.ndarray, landmarks: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Chin to mid-forehead without ears, sides and the inside of the mouth: what hair and background seldom cover."""
    x, y, _ = vertices.T
    chin, width = landmarks[8, 1] - 5, 1.06 * np.abs(landmarks[[0, 16], 0]).mean()
    return _is_front(vertices, landmarks) & (y > chin) & (np.abs(x) < width) & ~mouth
