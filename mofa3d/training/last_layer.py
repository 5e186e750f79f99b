"""An encoder's last layer, some rows of which are solved for instead of trained.

A network that is trained to tell from one photograph what only several of a person show soon knows its few hundred
people by heart, and tells strangers' worse than a heavily regularised linear map of its features does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.encoders.network import Encoder
from mofa3d.semantic_code import CodeSizes

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


@torch.no_grad()
def add_to_rows(encoder: Encoder, sizes: CodeSizes, block: str, change: LinearMap) -> None:
    """Add a linear map of features to a block of the code that an encoder predicts."""
    place, depth = sizes.slices[block], encoder.depth_index
    for column, at in enumerate(range(place.start, place.stop)):
        layer, row = (encoder.depth_head, 0) if at == depth else (encoder.head, at - (at > depth))  # t_z has its own
        scale = float(encoder.scales[at])
        layer.weight[row] += torch.from_numpy(change.weights[:, column] / scale).float().to(layer.weight)
        layer.bias[row] += float(change.bias[column]) / scale


@torch.no_grad()
def set_rows(encoder: Encoder, sizes: CodeSizes, block: str, wanted: LinearMap) -> None:
    """Let an encoder predict a block of the code, but t_z, by a linear map of features."""
    place, depth = sizes.slices[block], encoder.depth_index
    for at in range(place.start, place.stop):
        if at != depth:
            encoder.head.weight[at - (at > depth)], encoder.head.bias[at - (at > depth)] = 0.0, 0.0
    add_to_rows(encoder, sizes, block, wanted)
