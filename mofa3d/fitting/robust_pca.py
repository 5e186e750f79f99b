"""Principal components of data with gaps and outliers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError

TOLERANCE = 3.0  # standard deviations of the noise at which a sample counts half
OVERSAMPLING = 8  # columns beyond those asked for, which make a randomised decomposition accurate


class Components(NamedTuple):
    """A linear model of data.

    Attributes:
        mean: (V, C).
        basis: (V, C, K), each column times its standard deviation, strongest first.
        codes: (M, K) of the data, about N(0, 1).
        weights: (M, V) of the data in the end: the given ones, lowered at outliers.
        noise: (V,) standard deviation of what the components leave of inliers.
    """

    mean: Float[Tensor, "V C"]
    basis: Float[Tensor, "V C K"]
    codes: Float[Tensor, "M K"]
    weights: Float[Tensor, "M V"]
    noise: Float[Tensor, "V"]


def robust_pca(
    values: Float[Tensor, "M V C"], weights: Float[Tensor, "M V"], count: int, rounds: int = 12, seed: int = 0
) -> Components:
    """Mean and principal components of samples of which parts are missing and parts are wrong.

    Each round fills what is missing, or weighs less than 1, from the components of the round before, which is
    expectation maximisation of a probabilistic PCA; and weighs residuals r by 1 / (1 + (r / 3s)²), as the heavy tails
    of a Cauchy distribution of each vertex's own scale s ask for, so that glasses, hair and hands lose their say.

    Args:
        values: samples of C channels at V vertices.
        weights: 0 (missing) to 1.
        count: components K.
        rounds: of the iteration.
        seed: of the randomised singular value decomposition.

    Raises:
        InputError: not more samples than components.

    Reference: Tipping and Bishop 1999, "Probabilistic Principal Component Analysis"; De la Torre and Black 2003, "A
    Framework for Robust Subspace Learning".
    """
    samples, vertices, channels = values.shape
    if samples <= count + OVERSAMPLING:
        raise InputError(f"{count} components need more than {count + OVERSAMPLING} samples, got {samples}")
    given, weights = weights, weights.clone()
    mean = _weighted_median(values, given)
    predicted = mean.expand_as(values)
    noise = torch.full((vertices,), 0.1, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    for number in range(rounds):
        squared = (values - predicted).square().sum(dim=2)
        noise = _scale(squared, given)
        # Strict from the start, it would take whoever is far from the average for an outlier, and leave it there.
        tolerance = TOLERANCE * max(1.0, 3 - 4 * number / rounds)
        weights = given / (1 + squared / (tolerance * noise).square())
        filled = predicted + weights[..., None] * (values - predicted)
        mean = filled.mean(dim=0)
        # Few components first: they span what all samples share, and leave outliers outside.
        rank = min(count, max(1, 2 * count * (number + 1) // rounds))
        left, singular, right = _decompose((filled - mean).flatten(1), rank, generator)
        predicted = (mean.flatten() + (left * singular) @ right.T).view_as(values)
    deviation = singular / (samples - 1) ** 0.5
    basis = (right * deviation).view(vertices, channels, -1)
    return Components(mean, basis, left * (samples - 1) ** 0.5, weights, noise)


def _decompose(flat: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The first singular vectors and values, by power iteration of a random subspace (Halko et al. 2011)."""
    subspace = torch.randn(len(flat), rank + OVERSAMPLING, generator=generator, dtype=torch.float32)
    for _ in range(3):
        subspace, _ = torch.linalg.qr(flat @ (flat.T @ subspace))
    left, singular, right = torch.linalg.svd(subspace.T @ flat, full_matrices=False)
    return (subspace @ left)[:, :rank], singular[:rank], right.T[:, :rank]


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(V, C) median over the samples that have any weight; the median of all where none has."""
    known = torch.where(weights[..., None] > 0, values, torch.nan)
    median = known.nanmedian(dim=0).values
    return torch.where(median.isnan(), known.flatten(0, 1).nanmedian(dim=0).values, median)


def _scale(squared: Tensor, weights: Tensor) -> Tensor:
    """(V,) robust standard deviation of residuals over the samples with a weight."""
    known = torch.where(weights > 0, squared, torch.nan)
    return known.nanmedian(dim=0).values.nan_to_num(1.0).sqrt().clamp_min(0.01)
