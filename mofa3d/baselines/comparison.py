"""Measure every system on the same photographs: errors, and the time that each photograph takes by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from mofa3d import pictures
from mofa3d.baselines.pixel_evaluation import Batch, PixelView, Predict, evaluate_pixels
from mofa3d.data.corpus import Corpus
from mofa3d.decoder import Decoder
from mofa3d.evaluation import Encode, code_errors
from mofa3d.gauss_newton import GaussNewton, GaussNewtonConfig
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

Estimate = Callable[[Batch], SemanticCode]


@dataclass(frozen=True)
class Measured:
    """What a system says about photographs.

    Attributes:
        errors: of each photograph, see `mofa3d.evaluation.code_errors`, and its ``seconds``.
        codes: code vectors.
    """

    errors: dict[str, Float[Tensor, "K"]]
    codes: Float[Tensor, "K D"]


def choose(corpus: Corpus, candidates: Sequence[int], count: int) -> list[int]:
    """Photographs to compare on: evenly from those with all landmarks, or from all if none has them.

    Raises:
        ValueError: fewer than one is wanted.
    """
    if count < 1:
        raise ValueError(f"at least 1 photograph must be compared, got {count}; give a larger number of photographs")
    known = [i for i in candidates if bool((corpus.confidence[i] > 0).all())] or list(candidates)
    wanted = min(count, len(known))
    return [known[i * len(known) // wanted] for i in range(wanted)]


def encoder_estimate(encode: Encode, decode: Decoder) -> Estimate:
    """Codes as an encoder says them."""
    return lambda batch: SemanticCode.from_vector(encode(batch["image"]), decode.model.sizes)


def fit_estimate(decode: Decoder, config: GaussNewtonConfig, landmarks: bool = True) -> Estimate:
    """Codes as they are fitted from the average face, with or without the photograph's landmarks."""
    if not landmarks:
        config = replace(config, loss=replace(config.loss, landmark=0.0))
    fit = GaussNewton(decode, config)

    def estimate(batch: Batch) -> SemanticCode:
        if landmarks and not bool((batch["confidence"] > 0).any()):
            raise ValueError("the photographs come without landmarks; prepare them with `mofa3d prepare --landmarks`")
        return fit(SemanticCode.zeros(len(batch["image"]), decode.model.sizes), batch).codes

    return estimate


@torch.no_grad()
def measure(
    estimate: Estimate, decode: Decoder, render: Renderer, dataset: Dataset, indices: Sequence[int]
) -> Measured:
    """Errors and seconds of each photograph, one at a time.

    The first one is done twice, because loading compiled kernels is no part of any photograph's time.
    """
    estimate(default_collate([dataset[indices[0]]]))
    parts, codes = [], []
    for index in indices:
        batch = default_collate([dataset[index]])
        began = time.perf_counter()
        code = estimate(batch)
        seconds = torch.tensor([time.perf_counter() - began])
        parts.append({**code_errors(code, decode, render, batch), "seconds": seconds})
        codes.append(code.to_vector())
    return Measured({name: torch.cat([part[name] for part in parts]) for name in parts[0]}, torch.cat(codes))


@torch.no_grad()
def measure_pixels(
    predict: Predict, dataset: Dataset, indices: Sequence[int], view: PixelView
) -> dict[str, Float[Tensor, "K"]]:
    """Errors and sharpness of the images that a system makes, and the seconds of each; see `evaluate_pixels`."""
    seconds = []

    def timed(batch: Batch) -> Tensor:
        made = []
        for row in range(len(batch["image"])):
            one = {name: value[row : row + 1] for name, value in batch.items()}
            began = time.perf_counter()
            made.append(predict(one))
            seconds.append(time.perf_counter() - began)
        return torch.cat(made)

    return {**evaluate_pixels(timed, dataset, indices, view), "seconds": torch.tensor(seconds)}


def rendered(
    estimate: Estimate, decode: Decoder, render: Renderer, dataset: Dataset, background: Float[Tensor, "3 S S"]
) -> Predict:
    """Images that a face model makes, as a network of pixels would have made them.

    What lies behind the face is given, so that nothing is copied from the photograph that is compared with.

    Args:
        estimate: gives the codes, from the crop as the corpus has it.
        decode: with the whole model.
        render: a raster backend.
        dataset: which the batches are from; they have the photographs only at the network's size.
        background: which the face covers.
    """

    def predict(batch: Batch) -> Tensor:
        whole = default_collate([dataset[int(i)] for i in batch["index"]])
        size = whole["image"].shape[-2:]
        behind = torch.nn.functional.interpolate(background[None], size, mode="bilinear", align_corners=False)
        made = pictures.overlay(decode(estimate(whole)), render, behind.expand_as(whole["image"]))
        return torch.nn.functional.interpolate(
            made, batch["image"].shape[-2:], mode="bilinear", antialias=True, align_corners=False
        )

    return predict
