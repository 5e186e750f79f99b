"""Rows of an encoder's last layer are solved for and set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.semantic_code import SemanticCode
from mofa3d.training.last_layer import LinearMap, add_to_rows, ridge_regression, set_rows


def test_ridge_regression_is_least_squares_without_a_penalty_and_the_mean_with_a_large_one():
    random = np.random.default_rng(0)
    features, weights = random.normal(3, [1, 10, 0.1], (50, 3)), random.uniform(0.1, 1, 50)
    values = features @ [[1.0], [0.2], [-3.0]] + 5
    found = ridge_regression(features, values, weights, 1e-9)
    np.testing.assert_allclose(found.weights, [[1.0], [0.2], [-3.0]], atol=1e-6)
    np.testing.assert_allclose(found.bias, [5.0], atol=1e-5)
    flat = ridge_regression(features, values, weights, 1e9)
    np.testing.assert_allclose(flat(features), np.average(values[:, 0], weights=weights), atol=1e-5)


@pytest.mark.parametrize("block", ["shape", "translation", "illumination"])
def test_a_block_is_added_to_and_the_others_stay(encoder, tiny_model, block):
    sizes, random = tiny_model.sizes, np.random.default_rng(3)
    width = sizes.slices[block].stop - sizes.slices[block].start
    features = random.normal(0, 1, (4, encoder.head.in_features))
    change = LinearMap(random.normal(0, 0.01, (encoder.head.in_features, width)), random.normal(0, 0.1, width))
    rows = torch.from_numpy(features).float()
    before = SemanticCode.from_vector(encoder.code(rows), sizes)
    add_to_rows(encoder, sizes, block, change)
    after = SemanticCode.from_vector(encoder.code(rows), sizes)
    added = (getattr(after, block) - getattr(before, block)).flatten(1).detach().numpy()
    np.testing.assert_allclose(added, change(features), atol=1e-4 if block == "translation" else 1e-5)  # scaled by 10
    for other in set(sizes.slices) - {block}:
        assert torch.equal(getattr(before, other), getattr(after, other)), other


def test_a_block_is_set(encoder, tiny_model):
    sizes, random = tiny_model.sizes, np.random.default_rng(5)
    features = random.normal(0, 1, (4, encoder.head.in_features))
    wanted = LinearMap(random.normal(0, 0.01, (encoder.head.in_features, sizes.shape)), np.ones(sizes.shape))
    set_rows(encoder, sizes, "shape", wanted)
    found = SemanticCode.from_vector(encoder.code(torch.from_numpy(features).float()), sizes)
    np.testing.assert_allclose(found.shape.detach().numpy(), wanted(features), atol=1e-4)
