"""Errors of an encoder on held-out images, by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d import metrics
from mofa3d.data.batches.augment import encoder_input
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.yaw import estimate_yaw, yaw_of
from mofa3d.decoder import Decoder
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

Encode = Callable[[Float[Tensor, "B 3 H W"]], Float[Tensor, "B D"]]
BATCH = 16


def average_face(decode: Decoder) -> Encode:
    """The encoder that always predicts code 0: where every training starts, because the last layer starts at zero."""
    return lambda image: image.new_zeros(len(image), decode.model.sizes.total)


@torch.no_grad()
def evaluate(
    encode: Encode, decode: Decoder, render: Renderer, dataset: Dataset, indices: Sequence[int]
) -> dict[str, Float[Tensor, "K"]]:
    """Errors of each image; NaN where one is not defined.

    ``photometric`` over the samples that count, ``landmark`` px over the known ones of 46 points, ``area`` ratio of
    landmark hulls, and for items with a true ``code`` ``geometric`` mm over the frontal region. Not errors, but there
    to be compared (see `group_correlations`): ``yaw``, the face's in degrees, and ``landmark_yaw``, estimated
    from the photograph's points.
    """
    device = decode.model.mean_shape.device
    parts: list[dict[str, Tensor]] = []
    for batch in in_order(dataset, indices, BATCH):
        batch = {name: value.to(device) for name, value in batch.items()}
        code = SemanticCode.from_vector(encode(encoder_input(batch)), decode.model.sizes)
        parts.append(code_errors(code, decode, render, batch))
    return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}


@torch.no_grad()
def code_errors(
    code: SemanticCode, decode: Decoder, render: Renderer, batch: dict[str, Tensor]
) -> dict[str, Float[Tensor, "B"]]:
    """Errors of codes that were found for a batch of photographs; see `evaluate`."""
    scene = decode(code)
    points = (scene.landmarks, batch["landmarks"], batch["confidence"])
    errors = {
        "photometric": metrics.photometric_error(render(scene), batch["image"]),
        "landmark": metrics.landmark_error(*points),
        "area": metrics.area_ratio(*points),
        "yaw": yaw_of(code.rotation),
        "landmark_yaw": landmark_yaw(decode.model, *points[1:]),
    }
    if "code" in batch:
        true = SemanticCode.from_vector(batch["code"], decode.model.sizes)
        true_vertices = decode.model.geometry(true.shape, true.expression)
        errors["geometric"] = metrics.geometric_error(
            scene.vertices, code.rotation, true_vertices, true.rotation, decode.model.frontal
        )
    return {name: value.cpu() for name, value in errors.items()}


def landmark_yaw(
    model: MorphableModel, landmarks: Float[Tensor, "B 68 2"], confidence: Float[Tensor, "B 68"]
) -> Float[Tensor, "B"]:
    """Yaw in degrees estimated from photographs' points against a model's mean face; NaN where one is unknown."""
    mean = model.landmarks(model.mean_shape[None])[0].double().cpu().numpy()
    yaw = torch.from_numpy(estimate_yaw(landmarks.double().cpu().numpy(), mean)).float()
    return torch.where((confidence > 0).all(dim=1).cpu(), yaw, torch.nan)


def group_means(
    errors: dict[str, Float[Tensor, "K"]], groups: Mapping[str, Sequence[bool]]
) -> dict[str, dict[str, float]]:
    """Mean of each error over each group of images (NaN left out), and how many images the group has."""
    table = {}
    for name, members in groups.items():
        chosen = torch.as_tensor(members)
        means = {key: float(value[chosen].nanmean()) for key, value in errors.items()}
        table[name] = {"images": int(chosen.sum()), **means}
    return table


def group_correlations(
    a: Float[Tensor, "K"], b: Float[Tensor, "K"], groups: Mapping[str, Sequence[bool]]
) -> dict[str, float]:
    """Pearson correlation of two measures over each group of images; NaN where fewer than three have both."""
    table = {}
    for name, members in groups.items():
        chosen = torch.as_tensor(members) & a.isfinite() & b.isfinite()
        pair = torch.stack([a[chosen], b[chosen]])
        table[name] = float(torch.corrcoef(pair)[0, 1]) if pair.shape[1] > 2 else float("nan")
    return table
