"""What an encoder's last layer says about the tone of skin, solved for instead of trained.

The map takes the place of the last layer's rows as far as they move the tone.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.encoders.network import Encoder
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.semantic_code import CodeSizes
from mofa3d.training.last_layer import LinearMap, ridge_regression

LEVEL_RIDGE, HUE_RIDGE = 30.0, 15.0  # in units of the features' variance


def tone_map(
    features: Float[np.ndarray, "N F"],
    tone: Float[np.ndarray, "N 3"],
    weights: Float[np.ndarray, "N"],
    shown: Float[np.ndarray, "M F"],
) -> LinearMap:
    """The tone of skin as a linear map of features.

    How light skin is, the mean of the tone's logarithms, is spread as far as the given ones: what a regression predicts
    differs less from person to person than people do. The hue is not: most of what differs in it between photographs
    is the color of their light. The map follows the exponential as well as a line can.

    Args:
        features: of photographs whose tone is known.
        tone: display RGB.
        weights: how much is known.
        shown: features of the photographs among which the line follows the exponential.
    """
    logs = np.log(tone)
    levels = logs.mean(axis=1, keepdims=True)
    level = ridge_regression(features, levels, weights, LEVEL_RIDGE)
    hue = ridge_regression(features, logs - levels, weights, HUE_RIDGE)
    center, deviation = _moments(levels, weights)
    gain = deviation / _moments(level(features), weights)[1]
    spread = LinearMap(gain * level.weights + hue.weights, center + gain * (level.bias - center) + hue.bias)
    predicted = spread(shown)
    slope = (np.exp(predicted) * (predicted - predicted.mean(axis=0))).mean(axis=0) / predicted.var(axis=0)
    middle = np.exp(predicted).mean(axis=0) - slope * predicted.mean(axis=0)
    return LinearMap(spread.weights * slope, slope * spread.bias + middle)


def _moments(values: Float[np.ndarray, "N K"], weights: Float[np.ndarray, "N"]) -> Float[np.ndarray, "2 K"]:
    """Mean and standard deviation."""
    mean = np.average(values, axis=0, weights=weights)
    return np.stack([mean, np.sqrt(np.average(np.square(values - mean), axis=0, weights=weights))])


@torch.no_grad()
def set_tone(encoder: Encoder, tone: SkinTone, sizes: CodeSizes, wanted: LinearMap) -> None:
    """Let reflectance codes have a tone, with as small a change of the last layer as it takes."""
    rows = sizes.slices["reflectance"]
    basis = tone.basis * encoder.scales[rows]  # (3, R) of the layer's outputs
    lift = torch.linalg.pinv(basis.double())
    weight, bias = encoder.head.weight[rows].double(), encoder.head.bias[rows].double()
    mean, given = tone.mean.double(), (torch.from_numpy(value) for value in wanted)
    weights, level = given
    encoder.head.weight[rows] = (weight + lift @ (weights.T - basis.double() @ weight)).float()
    encoder.head.bias[rows] = (bias + lift @ (level - mean - basis.double() @ bias)).float()
