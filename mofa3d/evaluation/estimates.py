"""What a system predicts for a batch of faces, and its errors: encoders and fits, measured alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.split import spread
from mofa3d.data.readable import readable
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.evaluation.errors import Encode, average_face, code_errors
from mofa3d.fitting.gauss_newton import GaussNewton, GaussNewtonConfig
from mofa3d.objective import Batch
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

Estimate = Callable[[Batch], SemanticCode]


@dataclass(frozen=True)
class Measured:
    """What a system estimates from photographs.

    Attributes:
        errors: of each photograph, see `mofa3d.evaluation.errors.code_errors`, and its ``seconds``.
        codes: code vectors.
    """

    errors: dict[str, Float[Tensor, "K"]]
    codes: Float[Tensor, "K D"]


def choose(corpus: Corpus, candidates: Sequence[int], count: int) -> list[int]:
    """Photographs to compare on: evenly from those with all landmarks, or from all if none has them.

    Those that cannot be read are left out, with a warning.

    Raises:
        InputError: fewer than one is wanted.
    """
    if count < 1:
        raise InputError(f"at least 1 photograph must be compared, got {count}; give a larger number of photographs")
    known = [i for i in candidates if bool((corpus.confidence[i] > 0).all())] or list(candidates)
    return readable(corpus, spread(known, count))[0]


def encoder_estimate(encode: Encode, decode: Decoder) -> Estimate:
    """Codes as an encoder predicts them."""
    return lambda batch: SemanticCode.from_vector(encode(batch["image"]), decode.model.sizes)


def fit_estimate(
    decode: Decoder, config: GaussNewtonConfig, landmarks: bool = True, start: Encode | None = None
) -> Estimate:
    """Codes as they are fitted, with or without the photograph's landmarks.

    Args:
        decode, config: see `GaussNewton`.
        landmarks: whether they take part.
        start: says where fits begin; by default at the average face.
    """
    start = start or average_face(decode)
    if not landmarks:
        config = replace(config, loss=replace(config.loss, landmark=0.0))
    fit = GaussNewton(decode, config)

    def estimate(batch: Batch) -> SemanticCode:
        if landmarks and not bool((batch["confidence"] > 0).any()):
            raise InputError("the photographs come without landmarks; prepare them with `mofa3d prepare --landmarks`")
        return fit(SemanticCode.from_vector(start(batch["image"]), decode.model.sizes), batch).codes

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
