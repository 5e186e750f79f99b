"""The light that a learned reflectance still contains.

Photographs are mostly lit from the front and from above. Fits of many agree on some of that, and divided by less than
the whole light, all faces get darker towards their sides. What is left is found as a smooth function of the direction
from inside the head, of second order, from skin alone; it is the same for all faces, and no fit can tell it from light.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa3d import harmonics
from mofa3d.fitting.skin_tone import DARKEST, cheek_vertices
from mofa3d.models.vertex_areas import vertex_areas
from mofa3d.morphable_model import MorphableModel

FEATURES = (*range(17, 27), *range(36, 68))  # iBUG points of brows, eyes and mouth
AROUND = 11.0  # mm about them that may be no skin
EARS = (0, 16)  # iBUG points, between which directions start
SIZE = (1.0, 1.35, 1.15)  # of an ellipsoid like a head: width, height, depth
ROUNDS = 30  # of iteratively reweighted least squares
SMALLEST = 0.03  # deviation that weighs no more than a smaller one
MOST = 1.3  # times that the average light can be, or a fraction of it
STILL = 1e-4  # keeps coefficients that nothing tells small


def bare_skin(model: MorphableModel) -> Bool[Tensor, "N"]:
    """Frontal vertices away from brows, eyes and mouth."""
    points = model.at_landmarks(model.mean_shape)[list(FEATURES)]
    return model.frontal & (torch.cdist(model.mean_shape, points).amin(dim=1) > AROUND)


def skin_areas(model: MorphableModel) -> Float[Tensor, "N"]:
    """mm² of bare skin around each vertex."""
    areas = vertex_areas(model.mean_shape.double().numpy(), model.faces.numpy())
    return torch.from_numpy(areas) * bare_skin(model)


def smooth_functions(model: MorphableModel, seen: Bool[Tensor, "N"]) -> Float[Tensor, "V 9"]:
    """Spherical harmonics of the directions of vertices, as on an ellipsoid that is like a head."""
    points = model.at_landmarks(model.mean_shape).double()
    vertices = model.mean_shape[seen].double()
    center = torch.stack([points[list(EARS), 0].mean(), vertices[:, 1].mean(), points[list(EARS), 2].mean()])
    away = (vertices - center) / torch.tensor(SIZE).double().square()
    return harmonics.basis(away / away.norm(dim=1, keepdim=True))


def shading_of_skin(model: MorphableModel) -> Float[Tensor, "8 R"]:
    """What a reflectance code has of light: smooth functions in it, each with its root mean square over bare skin.

    They are those of `smooth_functions` without an even lightness, of the mean over the channels, and orthogonal.
    """
    area = skin_areas(model)[model.frontal]
    share = area / area.sum().clamp_min(1e-9)
    functions = smooth_functions(model, model.frontal)[:, 1:]
    functions = functions - share @ functions
    gram = functions.T @ (functions * share[:, None]) + STILL * torch.eye(functions.shape[1]).to(functions)
    orthogonal = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), functions.T, upper=False)
    grey = model.reflectance_basis[model.frontal].double().mean(dim=1)
    return ((orthogonal * share) @ grey).to(model.reflectance_basis.dtype)


def baked_light(
    model: MorphableModel,
    mean: Float[Tensor, "V 3"],
    seen: Bool[Tensor, "N"],
    area: Float[Tensor, "V"],
) -> Float[Tensor, "V"]:
    """What the reflectance of the seen vertices is to be divided by; 1 on average over the cheeks.

    Args:
        model: gives the geometry.
        mean: reflectance of the average face, display RGB.
        seen: the vertices that have it.
        area: of skin around each, mm², as of `skin_areas`.
    """
    functions, cheeks = smooth_functions(model, seen), cheek_vertices(model)[seen]
    logs = mean.double().clamp_min(DARKEST).log().mean(dim=1)
    logs = logs - logs[cheeks].mean()
    weights, light = area, logs
    for _ in range(ROUNDS):  # of absolute deviations, which beards and hair do not lead astray
        rows = functions * (weights / weights.sum())[:, None]
        gram = rows.T @ functions + STILL * torch.eye(functions.shape[1]).to(functions)
        light = functions @ torch.linalg.solve(gram, rows.T @ logs)
        weights = area / (logs - light).abs().clamp_min(SMALLEST)
    return (light - light[cheeks].mean()).exp().clamp(1 / MOST, MOST).to(mean.dtype)
