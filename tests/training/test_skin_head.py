"""The last layer's rows for skin are solved for, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.last_layer import LinearMap, ridge_regression
from mofa3d.training.skin_head import set_tone, tone_map


def test_strangers_tones_are_told_better_with_the_penalty_than_without():
    random = np.random.default_rng(1)
    true = np.log([0.5, 0.4, 0.3]) + random.normal(0, 0.4, (400, 1))
    features = np.concatenate([true[:, :1] + random.normal(0, 0.5, (400, 20)), random.normal(0, 1, (400, 200))], axis=1)
    known, stranger, weights = slice(0, 250), slice(250, 400), np.ones(250)
    with_penalty = tone_map(features[known], np.exp(true[known]), weights, features)(features[stranger])
    without = ridge_regression(features[known], np.exp(true[known]), weights, 1e-9)(features[stranger])
    right = np.exp(true[stranger])
    agree = [np.corrcoef(found[:, 0], right[:, 0])[0, 1] for found in (with_penalty, without)]
    assert agree[0] > agree[1] + 0.1
    assert agree[0] > 0.9
    assert with_penalty.std(axis=0)[0] == pytest.approx(right.std(axis=0)[0], rel=0.25)  # as far apart as people are


def test_lightness_is_spread_as_far_as_given_and_hue_is_not():
    random = np.random.default_rng(4)
    light, hue = random.normal(0, 0.3, (400, 1)), random.normal(0, 0.1, (400, 1)) * [1.0, 0.0, -1.0]
    noise = random.normal(0, 0.1, (400, 3))  # what light colors photographs with
    tones = np.exp(np.log([0.5, 0.4, 0.3]) + light + hue + noise - noise.mean(axis=1, keepdims=True))
    features = np.concatenate([light, hue[:, :1]], axis=1) + random.normal(0, [0.3, 0.1], (400, 2))
    found = np.log(tone_map(features, tones, np.ones(400), features)(features))
    given = np.log(tones)
    levels = [logs.mean(axis=1).std() for logs in (found, given)]
    hues = [(logs[:, 0] - logs[:, 2]).std() for logs in (found, given)]
    assert levels[0] == pytest.approx(levels[1], rel=0.25)
    assert hues[0] < 0.7 * hues[1]


def test_the_encoder_gets_the_tone_and_keeps_the_rest(encoder, tiny_model):
    tone, sizes = SkinTone(tiny_model), tiny_model.sizes
    random = np.random.default_rng(2)
    features = random.normal(0, 1, (6, encoder.head.in_features))
    wanted = LinearMap(random.normal(0, 0.01, (encoder.head.in_features, 3)), np.array([0.5, 0.4, 0.3]))
    rows = torch.from_numpy(features).float()
    before = SemanticCode.from_vector(encoder.code(rows), sizes)
    set_tone(encoder, tone, sizes, wanted)
    after = SemanticCode.from_vector(encoder.code(rows), sizes)
    np.testing.assert_allclose(tone(after.reflectance).detach().numpy(), wanted(features), atol=1e-5)
    for block in ("shape", "expression", "rotation", "translation", "illumination"):
        assert torch.equal(getattr(before, block), getattr(after, block))
    # What does not change the tone stays.
    across = torch.eye(sizes.reflectance) - torch.linalg.pinv(tone.basis) @ tone.basis
    torch.testing.assert_close(before.reflectance @ across, after.reflectance @ across, atol=1e-5, rtol=0)
