"""The training objective: the weighted losses of a batch (Eq. 7), and the errors that are logged with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mofa3d import losses, metrics
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.kernels.vertex_loss.base import FusedLoss, VertexLoss
from mofa3d.scene import Renderer, Rendering, Scene
from mofa3d.semantic_code import SemanticCode

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss (Eq. 7).

    Attributes:
        photometric: w_photo.
        regularizer: w_reg of the statistical regularisation (Eq. 10).
        landmark: w_land of the surrogate (Eq. 9); 0 trains without landmarks.
        lip_closure: of `mofa3d.losses.lip_closure`; the paper has none.
        coloured_light: of `mofa3d.losses.coloured_light`; the paper has none.
        background_cost: lowers the error of each visible vertex, weighted by its projected area; 0 is Eq. 8 as printed.
        fitted_photometric: weight of the photometric loss with colors found by least squares for the code's geometry,
            beside the one with the encoder's; geometry then need not wait until the encoder has learned colors. The
            paper has none.
        points, openings, geometry, tone: of `mofa3d.training.target_losses`; they need the targets of
            ``experiments/fit_corpus.py``, and the paper has none of them.
        identity: of `mofa3d.training.identity_loss`; it needs what ``experiments/embed_corpus.py`` writes.
    """

    photometric: float = 1.92
    regularizer: float = 2.9e-5
    landmark: float = 0.0
    lip_closure: float = 0.0
    coloured_light: float = 0.0
    background_cost: float = 0.0
    fitted_photometric: float = 0.0
    points: float = 0.0
    openings: float = 0.0
    geometry: float = 0.0
    tone: float = 0.0
    identity: float = 0.0

    @property
    def by_targets(self) -> bool:
        """Whether a loss needs targets."""
        return bool(self.points or self.openings or self.geometry or self.tone)


def compute_losses(
    code: SemanticCode, scene: Scene, rendering: Rendering, batch: Batch, weights: LossWeights
) -> dict[str, Tensor]:
    """Unweighted losses, each (B,); a loss that is off is absent.

    Args:
        code: what the encoder predicted for the batch.
        scene, rendering: what was made of it.
        batch: ``image`` (B, 3, H, W) in 0 to 1, ``landmarks`` (B, 68, 2) px, ``confidence`` (B, 68).
        weights: which losses are on.
    """
    photometric = losses.photometric(rendering, batch["image"], weights.background_cost)
    return _collect_losses(code, photometric, scene, batch, weights)


def _collect_losses(
    code: SemanticCode, photometric: Tensor, seen: Scene | VertexLoss, batch: Batch, weights: LossWeights
) -> dict[str, Tensor]:
    terms = {"photometric": photometric, "regularizer": losses.regularizer(code)}
    by_points = {"landmark": losses.landmark, "lip_closure": losses.lip_closure}
    for name, loss in by_points.items():
        if getattr(weights, name):
            size = batch["image"].shape[-1]
            terms[name] = loss(seen.landmarks, batch["landmarks"], batch["confidence"], size)
    if weights.coloured_light:
        terms["coloured_light"] = losses.coloured_light(code)
    return terms


def compute_errors(scene: Scene, rendering: Rendering, batch: Batch) -> dict[str, Tensor]:
    """The errors that are watched beside the losses, each (B,)."""
    with torch.no_grad():
        return _collect_errors(metrics.photometric_error(rendering, batch["image"]), scene.landmarks, batch)


@torch.no_grad()
def _collect_errors(photometric_error: Tensor, landmarks: Tensor, batch: Batch) -> dict[str, Tensor]:
    points = (landmarks, batch["landmarks"], batch["confidence"])
    return {
        "photometric_error": photometric_error,
        "landmark_error": metrics.landmark_error(*points),
        "area_ratio": metrics.area_ratio(*points),
    }


def evaluate_batch(
    code: SemanticCode,
    batch: Batch,
    weights: LossWeights,
    decode: Decoder,
    render: Renderer,
    fused: FusedLoss | None = None,
    fit_colors: Callable[[SemanticCode, Tensor], SemanticCode] | None = None,
) -> tuple[dict[str, Tensor], Callable[[], dict[str, Tensor]]]:
    """The losses of a batch as `compute_losses` has them, and a function that gives its `compute_errors`.

    Args:
        fused: does the work of `decode` and `render` where it is given, as far as first derivatives need it.
        fit_colors: finds the colors of `LossWeights.fitted_photometric`: given codes and images (B, 3, H, W), gives
            the codes with other reflectance and illumination. `mofa3d.fitting.color_fit.ColorFit` is one; the loss with
            these colors is one more term.

    The gradient treats the fitted colors as constants. By the envelope theorem, this is exact where they minimize this
    very loss; they nearly do, except for the priors and because they are fitted to fewer vertices.

    Raises:
        InputError: that term is on, but there is nothing to find the colors with.

    Reference: Golub and Pereyra 1973, "The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems
    Whose Variables Separate".
    """
    if weights.fitted_photometric and fit_colors is None:
        raise InputError("fitted_photometric needs colors: give fit_colors=ColorFit(decode)")
    image, cost = batch["image"], weights.background_cost
    if fused is not None:
        seen = fused(code, image, cost)
        terms = _collect_losses(code, seen.photometric, seen, batch, weights)

        def errors() -> dict[str, Tensor]:
            return _collect_errors(seen.photometric_error, seen.landmarks, batch)
    else:
        scene = decode(code)
        rendering = render(scene)
        terms = compute_losses(code, scene, rendering, batch, weights)
        errors = partial(compute_errors, scene, rendering, batch)
    if weights.fitted_photometric and fit_colors is not None:
        found = fit_colors(code, image)
        fitted = code.replace(reflectance=found.reflectance, illumination=found.illumination)
        if fused is not None:
            terms["fitted_photometric"] = fused(fitted, image, cost).photometric
        else:
            terms["fitted_photometric"] = losses.photometric(render(decode(fitted)), image, cost)
    return terms, errors
