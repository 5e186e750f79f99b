"""Expressions as morph targets, and sequences of codes as movements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_model import make_code

from mofa3d.export import MorphTargets, expression_targets, movement, resting, two_sided, unit_targets


def test_targets_are_the_first_columns(tiny_model):
    targets = expression_targets(tiny_model, 2)
    assert targets.names == ("expression_01", "expression_02")
    assert torch.equal(targets.displacements[1], tiny_model.expression_basis[..., 1])
    with pytest.raises(ValueError, match="has 4 expression columns, so there can be 0 to as many morph targets, not 5"):
        expression_targets(tiny_model, 5)
    with pytest.raises(ValueError, match="not -1"):
        expression_targets(tiny_model, -1)
    with pytest.raises(ValueError, match="1 morph targets have 0 names"):
        MorphTargets((), torch.zeros(1, 144, 3))


def test_units_keep_their_names(tiny_model):
    units = {"smile": torch.tensor([1.0, 0.0, 0.5, 0.0]), "frown": torch.tensor([0.0, -2.0, 0.0, 0.0])}
    targets = unit_targets(tiny_model, units)
    assert targets.names == ("smile", "frown")
    basis = tiny_model.expression_basis
    torch.testing.assert_close(targets.displacements[0], basis[..., 0] + 0.5 * basis[..., 2])
    torch.testing.assert_close(targets.displacements[1], -2 * basis[..., 1])
    assert unit_targets(tiny_model, {}).displacements.shape == (0, 144, 3)


def test_resting_and_weights_make_the_code_again(tiny_code):
    rest = resting(tiny_code, 3)
    assert (rest.expression[:, :3] == 0).all()
    assert torch.equal(rest.expression[:, 3:], tiny_code.expression[:, 3:])
    assert torch.equal(rest.shape, tiny_code.shape)
    assert torch.equal(
        movement(tiny_code, tiny_code.expression[:, :3], torch.arange(3.0)).weights, tiny_code.expression[:, :3]
    )


def test_head_that_turns_all_the_way_round_never_jumps():
    codes = make_code(73, dtype=torch.float64)
    angle = torch.linspace(0, 4 * np.pi, 73, dtype=torch.float64)
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    zero = torch.zeros_like(angle)
    codes = codes.replace(rotation=torch.stack([zero, wrapped, zero], dim=1), translation=torch.zeros(73, 3).double())
    rotations = movement(codes, codes.expression[:, :0], torch.arange(73) / 30).rotations
    # R⁻¹ turns about −y; half the angle between neighbours stays small.
    expected = torch.stack([zero, -(angle / 2).sin(), zero, (angle / 2).cos()], dim=1)
    torch.testing.assert_close(rotations, expected * rotations[0, 3].sign(), atol=1e-6, rtol=0)


def test_translation_is_that_of_the_origin():
    codes = make_code(1, dtype=torch.float64).replace(
        rotation=torch.tensor([[0.0, 0.0, np.pi / 2]], dtype=torch.float64),
        translation=torch.tensor([[10.0, 20.0, 30.0]], dtype=torch.float64),
    )
    # −R⁻¹ t, with R a quarter turn from x to y.
    expected = torch.tensor([[-20.0, 10.0, -30.0]], dtype=torch.float64)
    torch.testing.assert_close(movement(codes, codes.expression[:, :0], torch.zeros(1)).translations, expected)


def test_nothing_that_moves(tiny_code):
    with pytest.raises(ValueError, match="at least one code, and times that increase, got 0 codes and 0 times"):
        movement(tiny_code[:0], torch.zeros(0, 2), torch.zeros(0))
    with pytest.raises(ValueError, match="got 3 codes and 3 times"):
        movement(tiny_code, torch.zeros(3, 2), torch.zeros(3))


def test_movements_of_either_sign_get_weights_from_0_to_1(tiny_model):
    targets = expression_targets(tiny_model, 3)
    weights = torch.tensor([[1.0, -4.0, 0.0], [-0.5, -1.0, 0.0], [2.0, 0.0, 0.0]])
    found, between = two_sided(targets, weights)
    assert found.names == ("expression_01_plus", "expression_01_minus", "expression_02_minus")
    assert between.tolist() == [[0.5, 0, 1], [0, 1, 0.25], [1, 0, 0]]
    same = torch.einsum("tk,knc->tnc", weights, targets.displacements)
    torch.testing.assert_close(torch.einsum("tk,knc->tnc", between, found.displacements), same)
    none, empty = two_sided(targets, torch.zeros(2, 3))
    assert (none.names, none.displacements.shape, empty.shape) == ((), (0, 144, 3), (2, 0))
