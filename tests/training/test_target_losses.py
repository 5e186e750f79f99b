"""The losses of targets are what they say, and vanish where the code is right."""

from __future__ import annotations

import pytest
import torch

from mofa3d.camera import Camera
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.objective import LossWeights
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.target_losses import BEYOND, OPENINGS, TargetLosses

ALL = LossWeights(points=1, openings=1, geometry=1, tone=1)


@pytest.fixture(scope="module")
def losses(default_model) -> TargetLosses:
    return TargetLosses(default_model, dense_landmarks(), Camera())


@pytest.fixture(scope="module")
def code(default_model) -> SemanticCode:
    vector = 0.3 * torch.randn(2, 257, generator=torch.Generator().manual_seed(0))
    return SemanticCode.from_vector(vector, default_model.sizes)


@pytest.fixture
def batch(default_model, losses, code) -> dict[str, torch.Tensor]:
    return {
        "dense": losses.project(code),
        "dense_known": torch.ones(2),
        "geometry": torch.cat([code.shape, code.expression], dim=1),
        "tone": SkinTone(default_model)(code.reflectance),
        "tone_weight": torch.tensor([1.0, 0.5]),
    }


def test_nothing_is_lost_where_all_is_right(losses, code, batch):
    found = losses(code, batch, ALL)
    assert set(found) == {"points", "openings", "geometry", "tone"}
    for value in found.values():
        torch.testing.assert_close(value, torch.zeros(2), atol=1e-8, rtol=0)
    assert losses(code, batch, LossWeights()) == {}
    assert set(losses(code, batch, LossWeights(openings=2.0))) == {"openings"}


def test_points_are_in_halves_of_the_image_and_count_as_46(losses, code, batch):
    batch["dense"] = batch["dense"] + torch.tensor([3.0, 4.0])
    found = losses(code, batch, ALL)
    torch.testing.assert_close(found["points"], torch.full((2,), 46 * 25 / 120**2))
    assert float(found["openings"].max()) < 1e-8  # all moved alike
    batch["dense_known"] = torch.tensor([0.0, 1.0])
    assert losses(code, batch, ALL)["points"][0] == 0


def test_openings_are_those_of_lids_and_lips(losses, code, batch):
    upper, lower = OPENINGS[1]
    assert (upper, lower) == (13, 14)
    batch["dense"][:, upper, 1] -= 6.0
    torch.testing.assert_close(losses(code, batch, ALL)["openings"], torch.full((2,), (6 / 120) ** 2))


def test_geometry_is_the_mean_squared_distance(default_model, losses, code, batch):
    change = torch.zeros(2, 144)
    change[:, 3], change[:, 90] = 0.7, -0.4
    batch["geometry"] = batch["geometry"] + change
    weights = torch.where(default_model.frontal, 1.0, BEYOND)
    expected = sum(
        (weights * (moved @ change[0, part]).square().sum(dim=1)).sum() / weights.sum()
        for moved, part in (
            (default_model.shape_basis, slice(80)),
            (default_model.expression_basis, slice(80, 144)),
        )
    )
    torch.testing.assert_close(losses(code, batch, ALL)["geometry"], expected.expand(2), rtol=1e-3, atol=1e-6)


def test_tone_counts_as_much_as_is_known(losses, code, batch):
    batch["tone"] = batch["tone"] + 0.1
    torch.testing.assert_close(losses(code, batch, ALL)["tone"], torch.tensor([0.03, 0.015]))
