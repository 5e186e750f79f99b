"""How near a face model can come to a scan: its shape columns fitted straight to it, no photograph involved.

E = mean (point-to-plane distance)² + prior · Σα², over the scan's face region and a free similarity, by Gauss-Newton
steps with new closest points in each. The prior weighs how likely the face is under the model, so what is left says
whether the columns span people, and the codes whether their standard deviations are those of people.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from mofa3d.evaluation.scans.distance import ANY
from mofa3d.evaluation.scans.landmarks import IBUG
from mofa3d.evaluation.scans.scan import FaceMesh, region
from mofa3d.models.alignment import similarity
from mofa3d.models.nearest_surface import nearest_surface
from mofa3d.morphable_model import MorphableModel

ROUNDS = 25
EVERY = 3  # one in how many of the region's vertices takes part
LOOSE = 1e-9  # mm² on the similarity, which nothing else may leave undetermined


class ScanFit(NamedTuple):
    """A face model laid into a scan.

    Attributes:
        code: (S,) shape.
        face: of that code, in the model's own place and size.
    """

    code: Float[np.ndarray, "S"]
    face: FaceMesh


class ShapeSpace:
    """A face model's mean and shape columns as the fits need them (float64).

    Args:
        model: a whole one.
    """

    def __init__(self, model: MorphableModel) -> None:
        self.mean = model.mean_shape.double().cpu().numpy()
        self.basis = model.shape_basis.double().cpu().numpy()
        self.faces = model.faces.cpu().numpy()
        self.corners = self.faces[model.landmark_faces.cpu().numpy()[list(IBUG)]]
        self.weights = model.landmark_weights.double().cpu().numpy()[list(IBUG)]

    def face(self, code: Float[np.ndarray, "S"]) -> FaceMesh:
        """The face of a code, mm."""
        vertices = self.mean + self.basis @ code
        return FaceMesh(vertices, self.faces, np.einsum("kj,kjc->kc", self.weights, vertices[self.corners]))


def fit_scan(scan: FaceMesh, space: ShapeSpace, prior: float) -> ScanFit:
    """The shape of the model that is nearest to a scan's face region.

    Args:
        scan: in any place and size.
        space: of the face model.
        prior: mm² for a coefficient of one standard deviation.

    Raises:
        InputError: hardly anything of the scan lies in the region.
    """
    columns = space.basis.shape[2]
    face = space.face(np.zeros(columns))
    code, points = np.zeros(columns), similarity(scan.landmarks, face.landmarks, ANY)(region(scan))[::EVERY]
    held = np.concatenate([np.full(columns, prior), np.zeros(7)]) * len(points)
    flat = space.basis.reshape(len(space.mean), -1)
    for _ in range(ROUNDS):
        near = nearest_surface(points, face.vertices, face.faces)
        triangles = face.vertices[face.faces[near.faces]]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        away = ((points - near.interpolate(face.vertices, face.faces)) * normals).sum(axis=1)
        basis = near.interpolate(flat, face.faces).reshape(len(points), 3, columns)
        # The scan moves, not the model, whose size the standard deviations belong to.
        of_points = [np.cross(points, normals), normals, (points * normals).sum(axis=1, keepdims=True)]
        jacobian = np.concatenate([np.einsum("kcm,kc->km", basis, normals), *(-part for part in of_points)], axis=1)
        gradient = jacobian.T @ away - held * np.concatenate([code, np.zeros(7)])
        step = np.linalg.solve(jacobian.T @ jacobian + np.diag(held + LOOSE), gradient)
        code, turn, shift, growth = code + step[:columns], step[columns:-4], step[-4:-1], step[-1]
        points = np.exp(growth) * points @ Rotation.from_rotvec(turn).as_matrix().T + shift
        face = space.face(code)
    return ScanFit(code, face)
