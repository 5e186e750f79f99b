"""The frontal vertices of a model and the triangles around them, in an order in which neighbours lie close together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from mofa3d.morphable_model import MorphableModel


@dataclass(frozen=True)
class VertexRings:
    """The one-rings of frontal vertices; on the CPU, whatever the model's device.

    Attributes:
        order: the model's vertices that take part: frontal ones, then those around them.
        frontal_count: the number of the former.
        starts: vertex i of that order has the triangles from starts[i] to starts[i + 1].
        corners: the other two corners of each, in the triangle's sense.
    """

    order: Int[Tensor, "V"]
    frontal_count: int
    starts: Int[Tensor, "V1"]
    corners: Int[Tensor, "C 2"]


def make_rings(model: MorphableModel) -> VertexRings:
    """Find them; only triangles with a frontal corner count."""
    frontal, faces = model.frontal.cpu(), model.faces.cpu()
    faces = faces[frontal[faces].any(dim=1)]
    order = _order(faces, frontal)
    place = torch.empty(len(frontal), dtype=torch.long)
    place[order] = torch.arange(len(order))
    faces = place[faces]
    owners = faces.flatten()
    by_owner = torch.argsort(owners, stable=True)
    starts = torch.zeros(len(order) + 1, dtype=torch.long)
    starts[1:] = torch.bincount(owners, minlength=len(order)).cumsum(0)
    others = torch.stack([faces.roll(-1, 1).flatten(), faces.roll(-2, 1).flatten()], dim=1)
    return VertexRings(order, int(frontal.sum()), starts, others[by_owner])


def _order(faces: Int[Tensor, "F 3"], frontal: Bool[Tensor, "N"]) -> Int[Tensor, "V"]:
    """Frontal vertices, then the others that faces have; neighbours close together, so that they share the cache."""
    pairs = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).numpy()
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(frontal), len(frontal))).tocsr()
    order = torch.from_numpy(reverse_cuthill_mckee(graph, symmetric_mode=True).astype(np.int64))
    around = torch.zeros_like(frontal)
    around[faces.flatten()] = True
    return torch.cat([order[frontal[order]], order[(around & ~frontal)[order]]])
