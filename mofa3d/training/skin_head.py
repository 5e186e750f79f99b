"""What an encoder's last layer says about skin and light, solved for instead of trained.

A network that is trained to tell skin's tone from one photograph soon knows its few thousand people by heart, and tells
strangers' worse than a heavily regularised linear map of features does that were trained for everything else. So this
map takes the place of the last layer's rows, as far as they move the tone; then the rows of the light are regressed on
what light the photographs need with the new tone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.encoders.network import Encoder
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.semantic_code import CodeSizes

TONE_RIDGE = 15.0  # in units of the features' variance
LIGHT_RIDGE = 0.1
LEAST_SPREAD = 1e-6


class LinearMap(NamedTuple):
    """From features to values: features @ weights + bias."""

    weights: Float[np.ndarray, "F K"]
    bias: Float[np.ndarray, "K"]

    def __call__(self, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N K"]:
        return features @ self.weights + self.bias


def ridge_regression(
    features: Float[np.ndarray, "N F"],
    values: Float[np.ndarray, "N K"],
    weights: Float[np.ndarray, "N"],
    ridge: float,
) -> LinearMap:
    """Least squares with a penalty on standardised features.

    Args:
        features: one row for each photograph.
        values: what is to be told from them.
        weights: of the photographs.
        ridge: the penalty, as a multiple of a standardised feature's weight.
    """
    share = (weights / weights.sum())[:, None]
    middle = (share * features).sum(axis=0)
    spread = np.sqrt((share * np.square(features - middle)).sum(axis=0)) + LEAST_SPREAD
    standard, center = (features - middle) / spread, (share * values).sum(axis=0)
    gram = (share * standard).T @ standard + ridge * np.eye(features.shape[1])
    solved = np.linalg.solve(gram, (share * standard).T @ (values - center)) / spread[:, None]
    return LinearMap(solved, center - middle @ solved)


def tone_map(
    features: Float[np.ndarray, "N F"],
    tone: Float[np.ndarray, "N 3"],
    weights: Float[np.ndarray, "N"],
    shown: Float[np.ndarray, "M F"],
) -> LinearMap:
    """The tone of skin as a linear map of features.

    Tones are told apart by their logarithms, and spread as far as the given ones: what a regression predicts differs
    less from person to person than people do. The map follows the exponential as well as a line can.

    Args:
        features: of photographs whose tone is known.
        tone: display RGB.
        weights: how much is known.
        shown: features of the photographs among which the line follows the exponential.
    """
    logs = np.log(tone)
    found = ridge_regression(features, logs, weights, TONE_RIDGE)
    share = (weights / weights.sum())[:, None]
    center = (share * logs).sum(axis=0)
    ours, theirs = (np.sqrt((share * np.square(v - center)).sum()) for v in (found(features), logs))
    gain = theirs / ours
    spread = center + gain * (found(shown) - center)
    slope = (np.exp(spread) * (spread - spread.mean(axis=0))).mean(axis=0) / spread.var(axis=0)
    line = gain * slope
    level = np.exp(spread).mean(axis=0) - line * found(shown).mean(axis=0)
    return LinearMap(found.weights * line, line * found.bias + level)


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


@torch.no_grad()
def add_to_light(encoder: Encoder, sizes: CodeSizes, change: LinearMap) -> None:
    """Add a linear map of features to the illumination that an encoder predicts."""
    rows = slice(sizes.slices["illumination"].start - 1, sizes.slices["illumination"].stop - 1)  # t_z has its own layer
    scales = encoder.scales[sizes.slices["illumination"]].double()
    encoder.head.weight[rows] += (torch.from_numpy(change.weights).T / scales[:, None]).float()
    encoder.head.bias[rows] += (torch.from_numpy(change.bias) / scales).float()
