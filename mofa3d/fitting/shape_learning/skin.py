"""The skin of MakeHuman's head as a surface that targets and a free displacement of its cage move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float, Int

from mofa3d.models.makehuman.cage import SKIN, Cage
from mofa3d.models.makehuman.subdivision import catmull_clark, to_triangles
from mofa3d.models.makehuman.targets import ASYMMETRIC


@dataclass(frozen=True)
class Skin:
    """The cage of the skin, what moves it, and its refined surface.

    Attributes:
        vertices: (S, 3) mm, without any target.
        targets: (T, S, 3) mm at full strength.
        asymmetric: (T,) which targets move one side only.
        quads: (Q, 4).
        refine: (N, S) to the vertices of the surface.
        triangles: of the surface.
        landmark_vertices: (68, L) of the cage.
        landmark_weights: (68, L).
    """

    vertices: Float[np.ndarray, "S 3"]
    targets: Float[np.ndarray, "T S 3"]
    asymmetric: Bool[np.ndarray, "T"]
    quads: Int[np.ndarray, "Q 4"]
    refine: sparse.csr_matrix
    triangles: Int[np.ndarray, "F 3"]
    landmark_vertices: Int[np.ndarray, "68 L"]
    landmark_weights: Float[np.ndarray, "68 L"]

    @cached_property
    def surface_targets(self) -> Float[np.ndarray, "N 3 T"]:
        """The targets on the surface."""
        return self.on_surface(np.moveaxis(self.targets, 0, -1))

    @cached_property
    def roughness(self) -> sparse.csr_matrix:
        """(S, S) the quadratic form Σ‖displacement − mean of its neighbours'‖²."""
        count = len(self.vertices)
        sides = np.stack([self.quads, np.roll(self.quads, -1, axis=1)], axis=-1).reshape(-1, 2)
        graph = sparse.csr_matrix((np.ones(len(sides)), sides.T), shape=(count, count))
        graph = ((graph + graph.T) > 0).astype(float)
        laplacian = sparse.identity(count) - sparse.diags(1 / graph.sum(axis=1).A1) @ graph
        return (laplacian.T @ laplacian).tocsr()

    def on_surface(self, values: Float[np.ndarray, "S *C"]) -> Float[np.ndarray, "N *C"]:
        """Values of the cage's vertices at the surface's."""
        return (self.refine @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])

    def moved(self, weights: Float[np.ndarray, "T"]) -> Float[np.ndarray, "S 3"]:
        """The cage under targets."""
        return self.vertices + np.tensordot(weights, self.targets, axes=1)

    def landmarks(self, values: Float[np.ndarray, "S *C"]) -> Float[np.ndarray, "68 *C"]:
        """The iBUG points of any values of the cage."""
        return np.einsum("kl,kl...->k...", self.landmark_weights, values[self.landmark_vertices])

    def landmarks_of(self, surface: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "68 3"]:
        """The iBUG points of the surface in any place: where refining leaves the vertices that carry them."""
        return self.landmarks(surface[: len(self.vertices)])

    def areas(self, surface: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N"]:
        """The part of the surface that each of its vertices stands for, 1 in the mean."""
        corners = surface[self.triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        found = np.bincount(self.triangles.ravel(), np.repeat(area, 3), minlength=len(surface))
        return found / found.mean()


def make_skin(cage: Cage, names: list[str], targets: Float[np.ndarray, "T V 3"], scale: float) -> Skin:
    """The skin of a cage.

    Args:
        cage: of the installed data.
        names: of the targets.
        targets: dm, of the cage's vertices.
        scale: mm per decimetre.
    """
    skin = cage.skin
    quads = np.searchsorted(skin, cage.quads[cage.of(*SKIN)])
    refine, fine_quads = catmull_clark(len(skin), quads)
    split, triangles = to_triangles(refine.shape[0], fine_quads)
    return Skin(
        vertices=scale * cage.vertices[skin],
        targets=scale * targets[:, skin].astype(np.float64),
        asymmetric=np.array([name.startswith(f"{ASYMMETRIC}/") for name in names]),
        quads=quads,
        refine=(split @ refine).tocsr(),
        triangles=triangles,
        landmark_vertices=np.searchsorted(skin, cage.landmark_vertices),
        landmark_weights=cage.landmark_weights,
    )
