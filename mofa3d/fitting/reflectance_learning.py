"""From reflectance samples of many photographs to the mean and the modes of a face model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa3d.fitting.baked_light import baked_light, skin_areas
from mofa3d.fitting.delighting import ReflectanceSamples
from mofa3d.fitting.robust_pca import Components
from mofa3d.models.mesh_fields import connected_to, extend
from mofa3d.morphable_model import DARK, MorphableModel

REACH = 40.0  # mm beyond the seen face over which its colors fade to the average skin's
EXPOSURE = 0.25  # share of a photograph's deviation from average lightness that is its exposure, not the skin
CAST = 0.75  # share of a photograph's deviation from the color of average skin that is its white balance, not the skin
QUIET = 0.5  # quantile of the noise below which a vertex is plain skin


class Fits(NamedTuple):
    """What is known about one photograph after its fit, in a batch.

    Attributes:
        codes: (M, D) as of `SemanticCode.to_vector`.
        photometric: (M,) error, display RGB.
        landmark: (M,) error, px.
        light: (M,) mean irradiance of the front of the face.
    """

    codes: Float[Tensor, "M D"]
    photometric: Float[Tensor, "M"]
    landmark: Float[Tensor, "M"]
    light: Float[Tensor, "M"]


def with_components(
    model: MorphableModel, components: Components, seen: Bool[Tensor, "N"] | None = None
) -> MorphableModel:
    """The model with the reflectance of components of the vertices that photographs show.

    The light that they still contain is taken out (`baked_light`). Beyond these vertices every column continues
    smoothly and fades to the average of plain skin: what the components explain best away from brows, eyes and mouth.
    The inside of the mouth keeps its color, and so do parts of the mesh that have no such vertex, as the teeth.

    Args:
        components: of those vertices in their order, three channels.
        seen: which they are; by default the frontal ones.
    """
    shown = model.frontal if seen is None else seen
    known, area = shown.numpy(), skin_areas(model)[shown]
    area = area * plain_skin(components, area > 0)
    light = baked_light(model, components.mean, shown, area)
    columns = torch.cat([components.mean[..., None], components.basis], dim=2) / light[:, None, None]  # (V, 3, 1 + K)
    vertices, faces = model.mean_shape.double().numpy(), model.faces.numpy()
    skin = torch.einsum("vck, v -> ck", columns, (area / area.sum()).to(columns.dtype))
    values = np.zeros((len(known), skin.numel()))
    values[known] = columns.flatten(1).double().numpy()
    everywhere = extend(values, known, vertices, faces, skin.flatten().double().numpy(), REACH)
    whole = torch.from_numpy(everywhere).float().view(len(known), *skin.shape)
    mean, basis = whole[..., 0].contiguous(), whole[..., 1:].contiguous()
    dark = ~model.frontal & (model.mean_reflectance.amax(dim=1) < DARK)
    kept = dark | ~torch.from_numpy(connected_to(known, faces))
    mean[kept], basis[kept] = model.mean_reflectance[kept], 0.0
    return model.with_reflectance(mean.clamp(0, 1), basis)


def plain_skin(components: Components, bare: Bool[Tensor, "V"] | None = None) -> Bool[Tensor, "V"]:
    """The half of the vertices, or of the bare ones, that the components explain best: no beard and no hairline."""
    noise = components.noise if bare is None else components.noise.where(bare, torch.inf)
    return noise <= noise[noise.isfinite()].quantile(QUIET)


def divide(light: Float[Tensor, "M"], samples: ReflectanceSamples) -> Float[Tensor, "M 3"]:
    """What each photograph's reflectance is to be multiplied by, and its light divided by.

    A photograph shows their product only, and a fit divides it as it happens to: dark skin then gets dark light, and a
    yellow picture yellow skin. Here three things are asked for. The light is 1 at the median. Its logarithm does not
    depend on how light the skin is: the part that a regression explains goes to the skin, and of the lightness that the
    photograph then shows, a part (`EXPOSURE`) is the camera's. And the color that a face has beyond what faces of its
    lightness have on average is mostly (`CAST`) the camera's.

    Args:
        light: mean irradiance of the front of each face.
        samples: reflectance as the fits divide it.
    """
    weights = samples.weights[..., None]
    log_color = ((samples.colors * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-6)).clamp_min(0.02).log()
    tone = log_color.mean(dim=1, keepdim=True)
    tone_offset = tone - tone.mean()
    spread = tone_offset.square().sum().clamp_min(1e-6)
    log_light = light.clamp_min(0.05).log()[:, None]
    to_skin = ((log_light - log_light.mean()) * tone_offset).sum() / spread * tone_offset
    color = log_color - tone
    color = color - color.mean(dim=0)
    usual = (color * tone_offset).sum(dim=0) / spread * tone_offset
    factor = to_skin - EXPOSURE * (tone_offset + to_skin) - CAST * (color - usual)
    return (factor + (log_light - factor.mean(dim=1, keepdim=True)).median()).exp()


def completed(values: Float[Tensor, "M V 3"], components: Components) -> Float[Tensor, "M V 3"]:
    """Samples with what is missing or wrong in them filled in from the components."""
    predicted = (components.codes @ components.basis.flatten(0, 1).T).view_as(values) + components.mean
    return predicted + components.weights[..., None] * (values - predicted)


def skin_colors(values: Float[Tensor, "M V 3"], plain: Bool[Tensor, "V"]) -> Float[np.ndarray, "M 3"]:
    """Median color of each face's plain skin."""
    return values[:, plain].median(dim=1).values.double().numpy()


def nearest_distances(
    queries: Float[Tensor, "Q V 3"], gallery: Float[Tensor, "M V 3"], same: bool = False
) -> Float[Tensor, "Q"]:
    """Root-mean-square color distance of each query to the nearest of a gallery.

    Args:
        same: queries are the gallery, and each is compared with the others only.
    """
    distances = torch.cdist(queries.flatten(1), gallery.flatten(1)) / queries.shape[1] ** 0.5
    if same:
        distances.fill_diagonal_(torch.inf)
    return distances.amin(dim=1)
