"""The training losses: photometric, landmark and statistical regularisation (Tewari et al. 2017, Sec. 6).

Every loss is returned per image, not reduced over the batch, and unweighted.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mofa3d.camera import inside, sample
from mofa3d.scene import Rendering
from mofa3d.semantic_code import SemanticCode

# The 46 of 68 iBUG points that are used for supervision and evaluation: brows, nose, eyes, outer lips and chin.
LANDMARKS_46 = (*range(17, 27), *range(27, 36), *range(36, 48), *range(48, 60), *range(7, 10))

# Inner points of the upper and the lower lip that meet when the mouth is closed.
LIP_PAIRS = ((61, 67), (62, 66), (63, 65))

WEIGHT_REFLECTANCE = 1.7e-3
WEIGHT_EXPRESSION = 0.8


def residuals(rendering: Rendering, image: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
    """Color distances ‖I(u_i) − c_i‖₂ (B, S) and the weights (B, S) with samples outside the image at 0."""
    difference = sample(image, rendering.positions) - rendering.colors.transpose(1, 2)
    # The clamp gives a perfect match the gradient 0 instead of NaN; `vector_norm` would too, five times slower.
    distance = difference.square().sum(dim=1).clamp_min(1e-12).sqrt()
    return distance, rendering.weights * inside(rendering.positions, image)


def photometric(
    rendering: Rendering, image: Float[Tensor, "B 3 H W"], background_cost: float = 0.0
) -> Float[Tensor, "B"]:
    """The robust photometric loss: (1/N) Σ_{i∈𝒱} ‖I(u_i) − c_i‖₂ (Eq. 8).

    Args:
        rendering: samples of the rendered image; their weights include the factor 1/N.
        image: RGB in 0 to 1.
        background_cost: constant subtracted from each sample's error, so that covering more of the photograph lowers
            the loss where the error is below it (Schönborn et al. 2017, "Markov Chain Monte Carlo for Automated Face
            Image Analysis"). Only useful with weights proportional to the projected area; 0 gives Eq. 8 as printed.

    The gradient with respect to positions comes from the image gradient; visibility is not differentiable.
    """
    distance, weights = residuals(rendering, image)
    return (weights * (distance - background_cost)).sum(dim=1)


def landmark(
    projected: Float[Tensor, "B 68 2"],
    detected: Float[Tensor, "B 68 2"],
    confidence: Float[Tensor, "B 68"],
    image_size: int,
) -> Float[Tensor, "B"]:
    """The surrogate loss Σ_j c_j ‖u_j − s_j‖² over the 46 points, in units of half the image width (Eq. 9).

    Args:
        projected: points of the model, in pixels.
        detected: points of the photograph, in pixels; rows with confidence 0 may have any finite values.
        confidence: in 0 to 1.
        image_size: width in pixels.
    """
    points = list(LANDMARKS_46)
    offset = (projected[:, points] - detected[:, points]) / (image_size / 2)
    return (confidence[:, points] * offset.square().sum(dim=-1)).sum(dim=1)


def lip_closure(
    projected: Float[Tensor, "B 68 2"],
    detected: Float[Tensor, "B 68 2"],
    confidence: Float[Tensor, "B 68"],
    image_size: int,
) -> Float[Tensor, "B"]:
    """Error of the mouth's opening: Σ c ‖(u_upper − u_lower) − (s_upper − s_lower)‖² over the inner points of the lips.

    In units of half the image width, with c the product of both confidences. Eq. 8 does not cover the inside of the
    mouth and Eq. 9 does not use the inner lip points, so to them a closed mouth and an open one with thinner lips are
    equal.

    Reference: Feng et al. 2021, "Learning an Animatable Detailed 3D Face Model from In-the-Wild Images" (DECA), whose
    eye closure loss is of this form; it is not part of Tewari et al. 2017.
    """
    upper, lower = (list(points) for points in zip(*LIP_PAIRS, strict=True))
    wrong = ((projected - detected)[:, upper] - (projected - detected)[:, lower]) / (image_size / 2)
    return (confidence[:, upper] * confidence[:, lower] * wrong.square().sum(dim=-1)).sum(dim=1)


def coloured_light(code: SemanticCode) -> Float[Tensor, "B"]:
    """Prior in favor of white light: Σ (γ_bc − mean over c)², zero for uncolored light.

    A photograph only shows the product of light and reflectance, so without this prior green skin under red light is as
    good an explanation as skin under white light.

    Reference: Deng et al. 2019, "Accurate 3D Face Reconstruction with Weakly-Supervised Learning", whose published
    training code has this term; it is not part of Tewari et al. 2017.
    """
    grey = code.illumination.mean(dim=2, keepdim=True)
    return (code.illumination - grey).square().sum(dim=(1, 2))


def regularizer(code: SemanticCode) -> Float[Tensor, "B"]:
    """Statistical regularisation Σα² + 1.7e-3 Σβ² + 0.8 Σδ² (Eq. 10)."""
    return (
        code.shape.square().sum(dim=1)
        + WEIGHT_REFLECTANCE * code.reflectance.square().sum(dim=1)
        + WEIGHT_EXPRESSION * code.expression.square().sum(dim=1)
    )
