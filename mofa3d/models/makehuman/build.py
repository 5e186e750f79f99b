"""Put the default model together: about 29,000 vertices, 80 shape, 64 expression and 80 reflectance modes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import torch
import trimesh

from mofa3d.models.makehuman import expression, shape, source, teeth, units
from mofa3d.models.makehuman.clipping import clip
from mofa3d.models.makehuman.population import population_shape
from mofa3d.models.makehuman.reflectance import Surface, reflectance_modes
from mofa3d.models.makehuman.subdivision import catmull_clark, to_triangles
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

SHAPE_MODES, EXPRESSION_MODES, REFLECTANCE_MODES = 80, 64, 80
MILLIMETRES = 100.0  # per decimetre
SIDE_WEIGHT = 0.15  # of vertices outside the frontal face when modes are chosen
PARTS = (
    "head", "eye_front.L", "eye_front.R", "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R", "mouth_cavity",
)  # fmt: skip
GROUPS = ("body", "helper-l-eye", "helper-r-eye")


class Built(NamedTuple):
    """The model, and what single expression units are in its coefficients."""

    model: MorphableModel
    units: units.ExpressionUnits


def build() -> Built:
    """Build the model from the installed data (deterministic, about half a minute).

    Raises:
        InputError: the data are not installed.
    """
    random = np.random.default_rng(0)
    data = source.data_directory()
    base = source.read_base_mesh(data)
    wanted = np.isin(base.parts, PARTS) & np.isin(base.groups, GROUPS)
    of_teeth = np.isin(base.groups, (teeth.UPPER, teeth.LOWER))
    keep = np.unique(base.quads[wanted | of_teeth])
    local = np.full(len(base.vertices), -1)
    local[keep] = np.arange(len(keep))
    quads, texture_quads, parts = local[base.quads[wanted]], base.texture_quads[wanted], base.parts[wanted]

    sampler = shape.IdentitySampler(data, len(base.vertices), keep)
    identities = np.stack([base.vertices[keep] + sampler.sample(random) for _ in range(shape.SAMPLE_COUNT)])
    skin = np.unique(quads[parts == "head"])
    average = identities.mean(axis=0)
    identities = shape.align(identities, skin[average[skin, 2] > 1.0])
    mean = identities.mean(axis=0)
    landmarks = _landmark_positions(mean, local)

    kept_quads = _crop(mean, quads, parts)
    used = np.unique(quads[kept_quads])
    coarse, coarse_parts = _renumber(quads[kept_quads], used), parts[kept_quads]
    refine, fine_quads = catmull_clark(len(used), coarse)
    split, triangles = to_triangles(refine.shape[0], fine_quads)
    refine = (split @ refine).tocsr()
    fine_parts = np.tile(coarse_parts, 16)  # each step numbers the first children of all quads before the second
    # Cut once more after the refinement: along whole quads the border would be ragged.
    skin_only = fine_parts == "head"
    cut, skin_triangles, origin = clip(_depth_inside(refine @ mean[used]), triangles[skin_only])
    refine = (cut @ refine).tocsr()
    triangles = np.concatenate([skin_triangles, triangles[~skin_only]])
    fine_parts = np.concatenate([fine_parts[skin_only][origin], fine_parts[~skin_only]])
    fine_used = np.unique(triangles)
    refine, triangles = refine[fine_used], _renumber(triangles, fine_used)
    vertices = refine @ mean[used]
    eyes = _touched(triangles, np.char.startswith(fine_parts, "eye_front") | np.char.startswith(fine_parts, "eye_back"))
    mouth = _touched(triangles, fine_parts == "mouth_cavity") & ~_touched(triangles, fine_parts == "head")
    uv = _texture_coordinates(base.texture, coarse, texture_quads[kept_quads], refine)

    tooth = teeth.make_teeth(local[base.quads[of_teeth]], base.groups[of_teeth] == teeth.UPPER)
    tooth_uv = _texture_coordinates(
        base.texture, _renumber(local[base.quads[of_teeth]], tooth.used), base.texture_quads[of_teeth], tooth.refine
    )

    weights = np.where((mean[used, 2] > 0.9) & (mean[used, 1] < 7.75), 1.0, SIDE_WEIGHT)
    shape_modes = shape.principal_components(identities[:, used], weights, SHAPE_MODES)
    shape_basis = _refine(refine, shape_modes)
    deviations = identities - mean
    tooth_shape = teeth.follow(deviations[:, used], shape_modes, weights, deviations[:, tooth.used])
    movements, names = expression.read_units(data, len(base.vertices), keep)
    expressions = expression.sample_expressions(movements, names, random)
    movements = movements[:, used]
    expression_modes = expression.expression_modes(expressions[:, used], weights, EXPRESSION_MODES)
    expression_basis = _refine(refine, expression_modes)
    tooth_expression = teeth.follow(expressions[:, used], expression_modes, weights, expressions[:, tooth.used])
    surface = Surface(
        vertices=vertices,
        triangles=triangles,
        landmarks=landmarks,
        eyes=eyes,
        mouth=mouth,
        # A vertex on a seam of the texture may have the coordinates of lips and lie elsewhere.
        lips=source.read_mask(data, "lips", uv) * ~mouth * (np.abs(vertices[:, 1] - landmarks[66, 1]) < 0.3),
        ears=source.read_mask(data, "ears", uv),
    )
    mean_reflectance, reflectance_basis = reflectance_modes(surface, REFLECTANCE_MODES, random)

    frontal = _frontal(vertices, landmarks, mouth)
    attached = _attach(landmarks, vertices, triangles, ~eyes)
    movements = _refine(refine, np.moveaxis(movements, 0, -1))[frontal] * MILLIMETRES
    codes, explained = units.fit_units(movements, expression_basis[frontal] * MILLIMETRES)

    tooth_vertices = tooth.positions(mean)
    triangles = np.concatenate([triangles, tooth.triangles + len(vertices)])
    vertices = np.concatenate([vertices, tooth_vertices])
    shape_basis = np.concatenate([shape_basis, _refine(tooth.refine, tooth_shape)])
    expression_basis = np.concatenate([expression_basis, _refine(tooth.refine, tooth_expression)])
    mean_reflectance = np.concatenate([mean_reflectance, teeth.reflectance(tooth_vertices)])
    still = np.zeros((len(tooth_vertices), *reflectance_basis.shape[1:]))
    reflectance_basis = np.concatenate([reflectance_basis, still])
    frontal = np.concatenate([frontal, np.zeros(len(tooth_vertices), dtype=bool)])
    uv = np.concatenate([uv, tooth_uv])

    # The middle of the face features, a decimetre behind the front: what the camera looks at and the head turns about.
    vertices = (vertices - _centre(landmarks)) * MILLIMETRES
    shape_basis, expression_basis = shape_basis * MILLIMETRES, expression_basis * MILLIMETRES

    def at_landmarks(values: np.ndarray) -> np.ndarray:
        return np.einsum("kj,kj...->k...", attached.weights.numpy(), values[triangles[attached.faces.numpy()]])

    code = population_shape(at_landmarks(vertices), at_landmarks(shape_basis), at_landmarks(expression_basis))
    vertices = vertices + shape_basis @ code
    vertices[:, 1] -= at_landmarks(vertices)[27:68, 1].mean()

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    model = MorphableModel(
        mean_shape=tensor(vertices),
        shape_basis=tensor(shape_basis),
        expression_basis=tensor(expression_basis),
        mean_reflectance=tensor(mean_reflectance),
        reflectance_basis=tensor(reflectance_basis),
        faces=torch.from_numpy(triangles),
        landmark_barycentric=attached,
        frontal=torch.from_numpy(frontal),
        uv=tensor(uv),
        name="makehuman",
    )
    return Built(model, units.make_units(names, codes, explained, at_landmarks(expression_basis)))


def _landmark_positions(mean: np.ndarray, local: np.ndarray) -> np.ndarray:
    points = json.loads(Path(__file__).with_name("landmarks68.json").read_text(encoding="utf-8"))["points"]
    vertices = local[np.array([point["vertices"] for point in points])]
    weights = np.array([point["weights"] for point in points])
    return (mean[vertices] * weights[..., None]).sum(axis=1)


def _centre(landmarks: np.ndarray) -> np.ndarray:
    return landmarks[27:68].mean(axis=0) * [0, 1, 0] + [0, 0, 1.0]


def _crop(mean: np.ndarray, quads: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Which quads stay: the face to behind the ears, forehead to throat (and a little more), eyeballs and mouth."""
    head = (parts == "head") & (_depth_inside(mean[quads].mean(axis=1)) > -0.15)
    eyeballs = np.char.startswith(parts, "eye_front") | np.char.startswith(parts, "eye_back")
    return head | eyeballs | (parts == "mouth_cavity")


def _depth_inside(points: np.ndarray) -> np.ndarray:
    """How deep (dm) points (K, 3) dm lie inside the part of the head that the model shows; negative outside."""
    _, y, z = points.T
    behind = np.interp(y, [6.1, 6.6], [0.75, 0.35])
    return np.minimum.reduce([z - behind, y - 6.05, 8.3 - y])


def _renumber(cells: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Cells (K, n) whose indices into all vertices become indices into the sorted `used` ones."""
    return np.searchsorted(used, cells)


def _touched(triangles: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Which vertices belong to the chosen triangles."""
    touched = np.zeros(triangles.max() + 1, dtype=bool)
    touched[triangles[chosen].ravel()] = True
    return touched


def _texture_coordinates(
    texture: np.ndarray, quads: np.ndarray, texture_quads: np.ndarray, refine: sparse.csr_matrix
) -> np.ndarray:
    """Texture coordinates refined with the mesh; a vertex on a seam takes one of its two."""
    coarse = np.zeros((quads.max() + 1, 2))
    coarse[quads.ravel()] = texture[texture_quads.ravel()]
    return refine @ coarse


def _refine(refine: sparse.csr_matrix, modes: np.ndarray) -> np.ndarray:
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


def _frontal(vertices: np.ndarray, landmarks: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Chin to mid-forehead without ears, sides and the inside of the mouth: what hair and background seldom cover."""
    x, y, z = vertices.T
    forehead, chin = landmarks[19, 1] + 0.40, landmarks[8, 1] - 0.05
    width = 1.06 * np.abs(landmarks[[0, 16], 0]).mean()
    return (z > 0.95) & (y < forehead) & (y > chin) & (np.abs(x) < width) & ~mouth
