"""How well the skin that was found in one photograph fits another photograph of the same person."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d import metrics
from mofa3d.data.batches.augment import encoder_input
from mofa3d.decoder import Decoder
from mofa3d.evaluation.errors import BATCH, Encode
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode


def photograph_pairs(indices: Sequence[int], photos: Sequence[str], identities: Sequence[str]) -> list[tuple[int, int]]:
    """Two photographs of each person of whom there are several: the first, and the one in the middle of the rest.

    Args:
        indices: photographs to choose from.
        photos, identities: of all photographs; where they are the same, nobody knows who is shown.
    """
    by_person: dict[str, list[int]] = {}
    for index in indices:
        if identities[index] != photos[index]:
            by_person.setdefault(identities[index], []).append(index)
    return [(found[0], found[(len(found) + 1) // 2]) for found in by_person.values() if len(found) > 1]


def with_fitted_colors(encode: Encode, decode: Decoder) -> Encode:
    """An encoder, followed by the fit of reflectance and light."""
    fit = ColorFit(decode)
    return lambda image: fit(SemanticCode.from_vector(encode(image), decode.model.sizes), image).to_vector()


def with_average_skin(encode: Encode, decode: Decoder) -> Encode:
    """An encoder that predicts the same skin for everybody."""

    def encode_average(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        code = SemanticCode.from_vector(encode(image), decode.model.sizes)
        return code.replace(reflectance=torch.zeros_like(code.reflectance)).to_vector()

    return encode_average


@torch.no_grad()
def errors_across(
    encode: Encode, decode: Decoder, render: Renderer, dataset: Dataset, pairs: Sequence[tuple[int, int]]
) -> dict[str, Float[Tensor, "K"]]:
    """Photometric errors of the reflectance that is found in the first photograph of each pair.

    ``own`` is in that photograph. ``other`` is in the second one, with the geometry that is found there, and light that
    is fitted there to the reflectance, so that it errs by the skin alone.
    """
    fit, sizes = ColorFit(decode), decode.model.sizes
    parts: dict[str, list[Tensor]] = {"own": [], "other": []}
    for start in range(0, len(pairs), BATCH):
        sides = zip(*pairs[start : start + BATCH], strict=True)
        images = [torch.stack([encoder_input(dataset[i]) for i in side]) for side in sides]
        first, second = (SemanticCode.from_vector(encode(image), sizes) for image in images)
        other = fit(second.replace(reflectance=first.reflectance), images[1], light_only=True)
        for name, code, image in (("own", first, images[0]), ("other", other, images[1])):
            parts[name].append(metrics.photometric_error(render(decode(code)), image))
    return {name: torch.cat(values) for name, values in parts.items()}
