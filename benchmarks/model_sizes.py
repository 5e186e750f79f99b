"""Face models of any number of vertices."""

from __future__ import annotations

import torch
from torch import Tensor

from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

NOSE_TIP = 30  # of the iBUG points


def with_vertices(model: MorphableModel, count: int) -> MorphableModel:
    """About `count` vertices, the nearest to the tip of the nose, of a model that is subdivided as often as needed.

    All of them are frontal, but for the ring around them, so that every one counts in the loss.
    """
    while len(model.mean_shape) < count:
        model = subdivide(model)
    nose = model.landmarks(model.mean_shape[None])[0, NOSE_TIP]
    distance = (model.mean_shape - nose).norm(dim=1)
    keep = distance <= distance.kthvalue(count).values
    whole = model.with_reflectance(model.mean_reflectance, model.reflectance_basis)  # the caller's stays as it is
    whole.frontal = torch.ones_like(model.frontal)
    return whole.restrict(keep)


def subdivide(model: MorphableModel) -> MorphableModel:
    """Every triangle in four, with new vertices in the middle of the edges; landmarks move to the nearest triangle."""
    faces, count = model.faces, len(model.mean_shape)
    sides = torch.stack([faces, faces.roll(-1, 1)], dim=2).flatten(0, 1).sort(dim=1).values
    edges, edge_of_side = sides.unique(dim=0, return_inverse=True)
    (a, b, c), (ab, bc, ca) = faces.T, (count + edge_of_side.view(-1, 3)).T
    children = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]

    def refine(values: Tensor) -> Tensor:
        return torch.cat([values, values[edges].mean(dim=1)])

    names = ("mean_shape", "shape_basis", "expression_basis", "mean_reflectance", "reflectance_basis")
    corner = model.landmark_weights.argmax(dim=1)
    return MorphableModel(
        **{name: refine(getattr(model, name)) for name in names},
        faces=torch.stack([torch.stack(child, dim=1) for child in children], dim=1).flatten(0, 1),
        landmark_barycentric=LandmarkBarycentric(4 * model.landmark_faces + corner, model.landmark_weights),
        frontal=torch.cat([model.frontal, model.frontal[edges].all(dim=1)]),
        name=model.name,
    )
