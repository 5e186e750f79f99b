"""A population of faces as a mean and columns that are N(0, 1): what any linear face model is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from mofa3d.models.alignment import Similarity
from mofa3d.models.mesh_fields import connected_to
from mofa3d.morphable_model import MorphableModel


@dataclass(frozen=True)
class Population:
    """Faces of real people in one triangulation.

    Attributes:
        mean: (M, 3) mm.
        columns: (M, 3, P) mm per standard deviation of a person's coefficient.
        faces: triangles.
        landmarks: (68, 3) mm, of the mean.
    """

    mean: Float[np.ndarray, "M 3"]
    columns: Float[np.ndarray, "M 3 P"]
    faces: Int[np.ndarray, "F 3"]
    landmarks: Float[np.ndarray, "68 3"]

    def moved(self, by: Similarity) -> Population:
        """The same people in another place."""
        columns = by.scale * np.einsum("mcp,dc->mdp", self.columns, by.rotation)
        return replace(self, mean=by(self.mean), columns=columns, landmarks=by(self.landmarks))


def population_of(model: MorphableModel) -> Population:
    """The people of a face model, without eyeballs and whatever else is not connected to the skin."""
    faces = model.faces.numpy()
    marked = np.zeros(len(model.mean_shape), dtype=bool)
    marked[faces[model.landmark_faces.numpy()]] = True
    kept = connected_to(marked, faces)
    number = kept.cumsum() - 1
    with torch.no_grad():
        landmarks = model.landmarks(model.mean_shape[None])[0]
    return Population(
        mean=model.mean_shape.double().numpy()[kept],
        columns=model.shape_basis.double().numpy()[kept],
        faces=number[faces[kept[faces].all(axis=1)]],
        landmarks=landmarks.double().numpy(),
    )
