"""The mirror image of a face of a model: which point becomes which, and its code."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from mofa3d.models.mesh_fields import mirror_vertices
from mofa3d.morphable_model import MorphableModel

RIDGE = 1e-3  # of the mean diagonal


def mirrored_points(points: Float[Tensor, "L 3"]) -> Int[Tensor, "L"]:
    """Which point every point of a symmetric face becomes."""
    flat = points.double().numpy()
    return torch.from_numpy(cKDTree(flat).query(flat * [-1, 1, 1])[1])


def mirrored_codes(model: MorphableModel) -> Float[Tensor, "G G"]:
    """The matrix that takes shape and expression of a face (a row) to those of its mirror image, by least squares."""
    frontal = model.frontal
    other = torch.from_numpy(mirror_vertices(model.mean_shape[frontal].double().numpy()))
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    blocks = []
    for basis in (model.shape_basis, model.expression_basis):
        own = basis[frontal].double()
        mirrored = (own[other] * flip).flatten(0, 1)
        own = own.flatten(0, 1)
        gram = own.T @ own
        gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
        blocks.append(torch.linalg.solve(gram, own.T @ mirrored).T)
    return torch.block_diag(*blocks).float()
