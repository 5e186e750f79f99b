"""What several photographs of one person have in common is found among what differs between photographs."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.training.identity_head import (
    DIRECTIONS,
    embedding_directions,
    identity_directions,
    photograph_weights,
    regress_on_identity,
)

PEOPLE, EACH, SIZE = 80, 4, 120


@pytest.fixture
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of photographs, who they show, and a trait of each: three directions tell people, the rest does not."""
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(PEOPLE), EACH)
    traits = random.normal(0, 1, (PEOPLE, 3))[people]
    features = random.normal(0, 1, (len(people), SIZE))
    features[:, :3] = traits + random.normal(0, 0.7, traits.shape)
    return features @ np.linalg.qr(random.normal(0, 1, (SIZE, SIZE)))[0], people, traits


def test_directions_tell_people_apart(world):
    features, people, traits = world
    found = identity_directions(features, people)(features)
    assert found.shape == (len(people), DIRECTIONS)
    strongest = found[:, -3:]
    explained = strongest @ np.linalg.lstsq(strongest, traits - traits.mean(axis=0), rcond=None)[0]
    assert np.corrcoef(explained.ravel(), (traits - traits.mean(axis=0)).ravel())[0, 1] > 0.75


def test_a_regression_on_them_is_better_with_strangers_than_one_on_all_features(world):
    features, people, traits = world
    known = people < PEOPLE // 2
    directions = identity_directions(features[known], people[known])
    weights = np.ones(known.sum())
    ours = regress_on_identity(features[known], directions, traits[known], weights)(features[~known])
    design = np.c_[features, np.ones(len(features))]
    plain = design[~known] @ np.linalg.lstsq(design[known], traits[known], rcond=None)[0]
    errors = [np.square(found - traits[~known]).mean() for found in (ours, plain)]
    assert errors[0] < 0.8 * errors[1]
    # All directions are within those of the identity.
    assert np.linalg.matrix_rank(ours - ours.mean(axis=0), tol=1e-6) <= min(DIRECTIONS, 3)


def test_embeddings_show_the_directions_without_knowing_who_is_shown(world):
    features, people, traits = world
    random = np.random.default_rng(1)
    embeddings = traits @ random.normal(0, 1, (3, 40)) + 0.3 * random.normal(0, 1, (len(traits), 40))
    known = people < 3 * PEOPLE // 4
    directions = embedding_directions(features[known], embeddings[known])
    found = directions(features[~known])
    assert found.shape == ((~known).sum(), DIRECTIONS)
    # The first ones, which tell most of the embeddings, are of the three that tell people.
    centered = traits[~known] - traits[~known].mean(axis=0)
    first = found[:, :3] - found[:, :3].mean(axis=0)
    explained = first @ np.linalg.lstsq(first, centered, rcond=None)[0]
    assert np.corrcoef(explained.ravel(), centered.ravel())[0, 1] > 0.65


def test_people_with_many_photographs_count_less_per_photograph():
    weights = photograph_weights(np.array([0, 0, 0, 0, 1]))
    np.testing.assert_allclose(weights, [4**-0.7] * 4 + [1.0])
