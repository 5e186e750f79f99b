"""Weights of expression units: least squares on the surface between 0 and 1, the fewest, and steady over time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from mofa3d.fitting.unit_weights import UnitFit, UnitFitConfig
from mofa3d.models.vertex_areas import vertex_areas

FREE = UnitFitConfig(price=0, ridge=1e-6, steadiness=0)


def units_of(*codes: list[float]) -> dict[str, torch.Tensor]:
    return {f"unit{number}": torch.tensor(code) for number, code in enumerate(codes)}


UNITS = units_of([2.0, 0, 0, 0], [-2.0, 0, 0, 0], [0, 1.0, 1.0, 0], [0, 0, 1.5, 0.5])


def test_weights_that_made_an_expression_are_found_again(tiny_model):
    units = units_of([2.0, 0, 0, 0], [0, 1.0, 1.0, 0], [0, 0, 1.5, 0.5])
    true = torch.tensor([[0.5, 0.25, 1.0], [0.75, 0, 0], [0, 0, 0]])
    found = UnitFit(tiny_model, units, FREE)(true @ torch.stack(list(units.values())))
    assert found.names == tuple(units)
    np.testing.assert_allclose(found.weights, true, atol=2e-3)
    assert found.error.max() < 0.01


def test_as_bounded_least_squares_on_the_vertices(tiny_model):
    expression = 2 * torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    found = UnitFit(tiny_model, UNITS, FREE)(expression)
    frontal = tiny_model.frontal.numpy()
    area = vertex_areas(tiny_model.mean_shape.double().numpy(), tiny_model.faces.numpy())[frontal]
    area /= area.sum()
    basis = tiny_model.expression_basis[frontal].double().numpy()
    rows = (np.sqrt(area)[:, None, None] * basis).reshape(-1, 4)
    codes = torch.stack(list(UNITS.values())).double().numpy()
    for code, weights, error in zip(expression.double().numpy(), found.weights, found.error, strict=True):
        # Two units push against each other: only what they make together is unique.
        right = lsq_linear(rows @ codes.T, rows @ code, (0, 1)).x
        np.testing.assert_allclose(weights @ codes, right @ codes, atol=0.01)
        left = np.linalg.norm(basis @ (code - weights @ codes), axis=1)
        assert error == pytest.approx(float(left @ area), rel=1e-6)
    assert found.weights.min() >= 0
    assert found.weights.max() <= 1


def test_area_of_a_square_is_shared_by_its_corners():
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    np.testing.assert_allclose(vertex_areas(corners, np.array([[0, 1, 2], [0, 2, 3]])), [4 / 3, 2 / 3, 4 / 3, 2 / 3])


def test_units_that_undo_each_other_are_not_used_together(tiny_model):
    found = UnitFit(tiny_model, UNITS)(torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]))
    assert found.weights[0, 0] > 0.4 > 0.01 > found.weights[0, 1]
    assert found.weights[1, 1] > 0.4 > 0.01 > found.weights[1, 0]


def test_films_are_steadier_and_keep_what_holds(tiny_model):
    fit, generator = UnitFit(tiny_model, UNITS, UnitFitConfig(steadiness=2)), torch.Generator().manual_seed(0)
    still = torch.tensor([[1.0, 0.5, 0.5, 0]]).repeat(30, 1)
    noisy = still + 0.2 * torch.randn(30, 4, generator=generator)
    times = np.arange(30) / 25
    alone, together = fit(noisy).weights, fit(noisy, times).weights
    assert np.abs(np.diff(together, axis=0)).mean() < 0.9 * np.abs(np.diff(alone, axis=0)).mean()
    np.testing.assert_allclose(fit(still, times).weights, fit(still).weights, atol=2e-3)
    # At the end of a long gap, nothing is held on to.
    cut = torch.cat([still[:5], -still[:5]])
    gap = np.r_[np.arange(5) / 25, 1000 + np.arange(5) / 25]
    held = fit(cut, np.arange(10) / 25).weights
    assert np.abs(fit(cut, gap).weights[5] - fit(cut).weights[5]).max() < 5e-3
    assert np.abs(held - fit(cut).weights)[4:6].max() > 0.01


def test_no_units(tiny_model):
    with pytest.raises(ValueError, match="there are no expression units to find weights of"):
        UnitFit(tiny_model, {})
