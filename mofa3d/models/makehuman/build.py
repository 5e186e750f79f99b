"""Put the default model together: a whole head of about 32,000 vertices, 80 shape, 64 expression and 80 reflectance
modes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Bool, Float

from mofa3d.models.makehuman import dense, expression, seal, source, teeth, units
from mofa3d.models.makehuman.cage import Cage, read_cage
from mofa3d.models.makehuman.head_mesh import HeadMesh, make_head_mesh, texture_coordinates
from mofa3d.models.makehuman.identity import Identity, identity
from mofa3d.models.makehuman.people import People, read_people
from mofa3d.models.makehuman.reflectance import Surface, reflectance_modes
from mofa3d.models.makehuman.repairs import repaired
from mofa3d.models.makehuman.scores import read_scores
from mofa3d.models.makehuman.targets import read_targets
from mofa3d.models.placement import FEATURES_CENTRE
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

EXPRESSION_MODES, REFLECTANCE_MODES = 64, 80
SIDE_WEIGHT = 0.15  # of vertices outside the frontal face when expression modes are chosen
TONGUE_WEIGHT = 0.3  # of the tongue's
PARTED = 0.2  # of the jaw's opening, at which landmarks are attached
HAIR = 7.0  # mm inside MediaPipe's oval up to which hair may lie on the face
FOREHEAD, BACK = 39.0, 12.0  # mm: top of the frontal face above the brow's middle, and its back before the jaw's ends


class Built(NamedTuple):
    """The model, what single expression units are in its coefficients, and MediaPipe's 478 points on it."""

    model: MorphableModel
    units: units.ExpressionUnits
    dense: LandmarkBarycentric


class Head(NamedTuple):
    """The cage, its average head and shape columns, the mesh, and the statistics."""

    cage: Cage
    identity: Identity
    mesh: HeadMesh
    people: People


def make_head(data: Path) -> Head:
    """The skin, eyes and mouth of the average person.

    Raises:
        InputError: the data are not those of the statistics.
    """
    cage, people = read_cage(data), read_people()
    head = identity(cage, people, read_targets(data, people.names, cage.base_count, cage.kept))
    mesh = make_head_mesh(cage, head.mean)
    return Head(cage, head, mesh, people)


def build() -> Built:
    """Build the model from the installed data and the statistics of people (deterministic, about half a minute).

    Raises:
        InputError: the data are not installed, or are not those of the statistics.
    """
    data = source.data_directory()
    cage, head, mesh, people = make_head(data)
    tooth = teeth.make_teeth(cage.tooth_quads, cage.upper, cage.tongue, len(cage.vertices))
    landmarks = cage.landmarks(head.mean)

    movements, names = expression.read_units(data, cage.base_count, cage.kept)
    movements = repaired(movements * people.scale, names, cage)
    weights = _importance(cage, mesh, head.mean)
    likely = read_scores().covariance_of(names)
    mixing = expression.expression_modes(movements, weights, likely, EXPRESSION_MODES)
    modes = expression.moved(movements, mixing)

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
    mean_reflectance, reflectance_basis = reflectance_modes(surface, REFLECTANCE_MODES, np.random.default_rng(0))

    # On lips that meet, the nearest triangle to a point of one lip may be the other's.
    parted = head.mean + PARTED * movements[names.index("jawOpen")]
    attached = dense.attach_ibug(dense.read_points(cage.base_count, dense.IBUG_PATH), cage, parted, mesh)
    points = dense.attach_dense(dense.read_points(cage.base_count), cage, parted, mesh)
    on_points = np.einsum("kj,kjd->kd", points.weights.numpy(), vertices[mesh.triangles[points.faces.numpy()]])
    frontal = _frontal(vertices, landmarks, mesh.mouth) & _inside(on_points[list(dense.OVAL), :2], vertices[:, :2])
    shown = sparse.vstack([mesh.refine[frontal], tooth.refine[tooth.tongue]]).tocsr()
    codes, explained = units.fit_units(refined(shown, np.moveaxis(movements, 0, -1)), refined(shown, modes))

    lips = seal.make_seal(vertices, mesh.triangles, landmarks)
    tooth_vertices = tooth.positions(head.mean, people.scale)
    tooth_uv = texture_coordinates(cage.texture, cage.tooth_quads, cage.tooth_texture_quads, tooth.refine)
    tooth_colors, lip_colors = teeth.reflectance(tooth_vertices, tooth.tongue), np.tile(seal.COLOR, (seal.COUNT, 1))
    head_count, teeth_end = len(vertices), len(vertices) + len(tooth_vertices)
    triangles = np.concatenate([mesh.triangles, tooth.triangles + head_count, lips.triangles + teeth_end])
    vertices = np.concatenate([vertices, tooth_vertices, lips.vertices])
    refine = sparse.vstack([mesh.refine, tooth.refine, lips.follows @ mesh.refine]).tocsr()
    expression_basis = refined(refine, modes)
    added = len(vertices) - head_count
    still = np.zeros((added, *reflectance_basis.shape[1:]))

    def at_landmarks(values: np.ndarray) -> np.ndarray:
        return np.einsum("kj,kj...->k...", attached.weights.numpy(), values[triangles[attached.faces.numpy()]])

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    model = MorphableModel(
        mean_shape=tensor(vertices - at_landmarks(vertices)[27:68].mean(axis=0) + np.array(FEATURES_CENTRE)),
        shape_basis=tensor(refined(refine, head.columns)),
        expression_basis=tensor(expression_basis),
        mean_reflectance=tensor(np.concatenate([mean_reflectance, tooth_colors, lip_colors])),
        reflectance_basis=tensor(np.concatenate([reflectance_basis, still])),
        faces=torch.from_numpy(triangles),
        landmark_barycentric=attached,
        frontal=torch.from_numpy(np.concatenate([frontal, np.zeros(added, dtype=bool)])),
        uv=tensor(np.concatenate([mesh.uv, tooth_uv, mesh.uv[lips.lip]])),
        name="makehuman",
    )
    return Built(model, units.make_units(names, codes, explained, at_landmarks(expression_basis)), points)


def refined(refine: sparse.csr_matrix, modes: np.ndarray) -> np.ndarray:
    """Modes (V, 3, K) of the cage on a finer mesh, (N, 3, K)."""
    count, _, columns = modes.shape
    return (refine @ modes.reshape(count, -1)).reshape(-1, 3, columns)


def _importance(cage: Cage, mesh: HeadMesh, mean: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V"]:
    """Weights of the cage's vertices when expression modes are chosen; the teeth follow."""
    weights = np.zeros(len(mean))
    used = np.unique(mesh.refine.indices)
    weights[used] = np.where(_is_front(mean[used], cage.landmarks(mean)), 1.0, SIDE_WEIGHT)
    weights[np.unique(cage.tooth_quads[cage.tongue])] = TONGUE_WEIGHT
    return weights


def _is_front(vertices: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What is not behind the jaw's ends nor above the forehead."""
    behind = landmarks[[0, 16], 2].mean() + BACK
    return (vertices[:, 2] > behind) & (vertices[:, 1] < landmarks[19, 1] + FOREHEAD)


def _inside(oval: Float[np.ndarray, "K 2"], points: Float[np.ndarray, "N 2"]) -> Bool[np.ndarray, "N"]:
    """What lies inside MediaPipe's outline of the face by more than hair covers of it, seen from the front."""
    return np.array([cv2.pointPolygonTest(oval.astype(np.float32), (x, y), True) > HAIR for x, y in points.tolist()])


def _frontal(vertices: np.ndarray, landmarks: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Chin to mid-forehead without ears, sides and the inside of the mouth: what hair and background seldom cover."""
    x, y, _ = vertices.T
    chin, width = landmarks[8, 1] - 5, 1.06 * np.abs(landmarks[[0, 16], 0]).mean()
    return _is_front(vertices, landmarks) & (y > chin) & (np.abs(x) < width) & ~mouth
