"""Functions on the vertices of a mesh: their mirror images, and their smooth continuation beyond what is known."""

from __future__ import annotations

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from mofa3d.morphable_model import MorphableModel


def mirror_vertices(vertices: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "N"]:
    """For each vertex the nearest one to its mirror image in the plane x = 0."""
    return cKDTree(vertices).query(vertices * [-1, 1, 1])[1]


def connected_to(chosen: Bool[np.ndarray, "N"], faces: Int[np.ndarray, "F 3"]) -> Bool[np.ndarray, "N"]:
    """Which vertices belong to a connected part of a mesh that has a chosen one."""
    part = _parts(len(chosen), faces)
    return np.isin(part, part[chosen])


def _parts(count: int, faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "N"]:
    """For each of `count` vertices the number of the connected part of the mesh that it belongs to."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(sides)), sides.T), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def extend(
    values: Float[np.ndarray, "N C"],
    known: Bool[np.ndarray, "N"],
    vertices: Float[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    far: Float[np.ndarray, "C"],
    reach: float,
) -> Float[np.ndarray, "N C"]:
    """Continue values on a mesh (vertices in mm, triangles); see `MeshFields.extend`."""
    return MeshFields(vertices, faces).extend(values, known, far, reach)


class MeshFields:
    """Functions on one mesh; what depends on the mesh alone is found once.

    Args:
        vertices: mm.
        faces: triangles.
    """

    def __init__(self, vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"]) -> None:
        self.vertices, self.faces = vertices, faces

    @cached_property
    def mirror(self) -> Int[np.ndarray, "N"]:
        """See `mirror_vertices`."""
        return mirror_vertices(self.vertices)

    @cached_property
    def _part(self) -> Int[np.ndarray, "N"]:
        return _parts(len(self.vertices), self.faces)

    def connected_to(self, chosen: Bool[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        """See the function of this name."""
        return np.isin(self._part, self._part[chosen])

    @cached_property
    def _sides(self) -> Int[np.ndarray, "E 2"]:
        return np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])

    @cached_property
    def _spacing(self) -> float:
        length = np.linalg.norm(self.vertices[self._sides[:, 0]] - self.vertices[self._sides[:, 1]], axis=1)
        return float(np.median(length))

    @cached_property
    def _laplacian(self) -> sparse.csr_matrix:
        """Degree less neighbours: −Δ times 3/2 of the square of the edges' one length (a regular triangulation)."""
        count = len(self.vertices)
        graph = sparse.csr_matrix((np.ones(len(self._sides)), self._sides.T), shape=(count, count))
        graph = ((graph + graph.T) > 0).astype(float)
        return (sparse.diags(graph.sum(axis=1).A1) - graph).tocsr()

    def extend(
        self, values: Float[np.ndarray, "N C"], known: Bool[np.ndarray, "N"], far: Float[np.ndarray, "C"], reach: float
    ) -> Float[np.ndarray, "N C"]:
        """Continue values smoothly from the known vertices to the others, towards `far` where they are far away.

        Solves the screened Poisson equation Δu = (u − far) / reach² on the mesh.

        Args:
            values: known ones; others do not matter.
            known: where they are.
            far: what to approach away from the known vertices; parts of the mesh without a known vertex take it.
            reach: mm over which the known values lose their influence.
        """
        screen = 1.5 * (self._spacing / reach) ** 2
        unknown = np.flatnonzero(~known)
        rows = self._laplacian[unknown]
        right = -rows[:, np.flatnonzero(known)] @ (values[known] - far)
        system = (rows[:, unknown] + screen * sparse.identity(len(unknown))).tocsc()
        # Symmetric and positive definite: no pivoting, and an ordering that fills less than the default. Columns have
        # so few numbers that panels of several only cost time.
        factors = scipy.sparse.linalg.splu(
            system,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            relax=1,
            panel_size=1,
            options={"SymmetricMode": True},
        )
        result = values.astype(float).copy()
        result[unknown] = factors.solve(np.ascontiguousarray(right)) + far
        return result


_fields: WeakKeyDictionary[MorphableModel, MeshFields] = WeakKeyDictionary()


def fields_of(model: MorphableModel) -> MeshFields:
    """Functions on a face model's mean shape, for as long as the model is there."""
    found = _fields.get(model)
    if found is None:
        found = _fields[model] = MeshFields(model.mean_shape.double().cpu().numpy(), model.faces.cpu().numpy())
    return found
