"""Who a person is, as an encoder's features tell it: what several photographs of one person have in common.

Or what a network that was made to tell people apart sees, which it says of people with one photograph, too.

Reference: Fisher's linear discriminant analysis, with a penalty (Friedman 1989, "Regularized Discriminant Analysis");
Izenman 1975, "Reduced-rank regression for the multivariate linear model".
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from mofa3d.training.last_layer import LEAST_SPREAD, LinearMap, ridge_regression

DIRECTIONS, PENALTY = 25, 2.0  # how many, and what is added to the variance within people
RIDGE = 0.02  # of a regression on so few directions
EMBEDDING_RIDGE = 0.3  # of a regression of embeddings on all features
CROWD = 0.7  # a person's photographs count as many as their number to the power of one less this


def photograph_weights(people: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """How much each photograph counts: less for people of whom there are many."""
    return 1 / np.bincount(people)[people] ** CROWD


def identity_directions(features: Float[np.ndarray, "N F"], people: Int[np.ndarray, "N"]) -> LinearMap:
    """Linear maps of features that differ most between people and least between photographs of one.

    Args:
        features: of photographs of people with several.
        people: who each shows, 0 to P - 1.
    """
    weights = photograph_weights(people)
    middle, spread = features.mean(axis=0), features.std(axis=0) + LEAST_SPREAD
    standard = (features - middle) / spread
    means = np.stack([standard[people == number].mean(axis=0) for number in range(people.max() + 1)])
    apart = standard - means[people]
    within = apart.T @ (apart * weights[:, None]) / weights.sum()
    within[np.diag_indices_from(within)] += PENALTY
    size = len(within)
    count = min(DIRECTIONS, len(means) - 1)
    directions = scipy.linalg.eigh(np.cov(means.T), within, subset_by_index=(size - count, size - 1))[1]
    directions = directions / spread[:, None]
    return LinearMap(directions, -middle @ directions)


def embedding_directions(features: Float[np.ndarray, "N F"], embeddings: Float[np.ndarray, "N E"]) -> LinearMap:
    """Linear maps of features that tell most of the embeddings of a recognition network.

    Args:
        features: of any photographs.
        embeddings: what the network says of the same ones.
    """
    found = ridge_regression(features, embeddings, np.ones(len(features)), EMBEDDING_RIDGE)
    told = found(features)
    count = min(DIRECTIONS, told.shape[1])
    principal = np.linalg.svd(np.cov(told.T))[0][:, :count]
    return LinearMap(found.weights @ principal, found.bias @ principal)


def regress_on_identity(
    features: Float[np.ndarray, "N F"],
    directions: LinearMap,
    values: Float[np.ndarray, "N K"],
    weights: Float[np.ndarray, "N"],
) -> LinearMap:
    """Values of people as a linear map of features that depends on the identity alone."""
    found = ridge_regression(directions(features), values, weights, RIDGE)
    return LinearMap(directions.weights @ found.weights, directions.bias @ found.weights + found.bias)
