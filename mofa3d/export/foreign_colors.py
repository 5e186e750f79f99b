"""Samples of a photograph that belong to something else than the place of the face at which they were taken.

A reconstructed mouth opens a little more or less than the photographed one. Where it opens more, the photograph has its
lip where the model has its teeth; teeth in the lip's color then shine through every expression that shows them.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa3d.fitting.delighting import ReflectanceSamples
from mofa3d.morphable_model import MorphableModel

DARKEST = 0.02  # display RGB below which a ratio means nothing
HUE = 0.25  # how far apart the logarithms of the channels' ratios may be; teeth come to 0.15, lips on them to 0.4


def of_everybody(model: MorphableModel) -> Bool[Tensor, "N"]:
    """The vertices whose reflectance is the same in all people, as that of teeth is; none if all of a model's are."""
    fixed = (model.reflectance_basis == 0).flatten(1).all(dim=1).cpu()
    return fixed if not fixed.all() else torch.zeros_like(fixed)


def typical_ratio(
    samples: ReflectanceSamples, reflectance: Float[Tensor, "N 3"], counted: Bool[Tensor, "N"]
) -> Float[Tensor, "3"]:
    """Logarithm of what a photograph shows over the model's reflectance, the median of the vertices that count."""
    ratio = _logarithm(samples.colors[0], reflectance)[counted]
    return ratio.median(dim=0).values if len(ratio) else ratio.new_zeros(3)


def without_foreign(
    samples: ReflectanceSamples,
    reflectance: Float[Tensor, "K 3"],
    fixed: Bool[Tensor, "K"],
    typical: Float[Tensor, "3"],
) -> ReflectanceSamples:
    """The samples less those of another hue than a place has that is known to have the same in everybody.

    Args:
        samples: of one face.
        reflectance: the model's at the same places.
        fixed: where it is the same in all people.
        typical: see `typical_ratio`; by so much all of the photograph may differ.
    """
    ratio = _logarithm(samples.colors[0], reflectance) - typical
    foreign = fixed & (ratio.amax(dim=1) - ratio.amin(dim=1) > HUE)
    return ReflectanceSamples(samples.colors, samples.weights * ~foreign)


def _logarithm(colors: Float[Tensor, "K 3"], reflectance: Float[Tensor, "K 3"]) -> Float[Tensor, "K 3"]:
    return torch.log(colors.clamp_min(DARKEST) / reflectance.clamp_min(DARKEST))
