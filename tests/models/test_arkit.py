"""The default model has ARKit's 52 units, and its eyes look where these say."""

from __future__ import annotations

import pytest
import torch

from mofa3d.models.arkit import ARKIT, arkit_units, has_arkit
from mofa3d.models.expression_units import COMBINATIONS, choose_units, expression_units
from mofa3d.models.gaze import gaze


def test_units_of_the_default_model(default_model):
    units = expression_units(default_model)
    assert list(arkit_units(units)) == list(choose_units(units, ["arkit"])) == list(ARKIT)
    every = choose_units(units, ["all"])
    assert set(every) == set(units) - set(COMBINATIONS)
    assert list(choose_units(units, ["all", "smile"]))[-1] == "smile"


def test_other_models_do_not_have_them(tiny_model):
    units = expression_units(tiny_model)
    assert not has_arkit(units)
    with pytest.raises(ValueError, match=r"does not have the 52 expression units of ARKit.*expression_1"):
        choose_units(units, ["arkit"])


def test_eyes_look_where_their_units_say(default_model):
    units = arkit_units(expression_units(default_model))
    looks = {  # which eye, which turn, and its sign: yaw to the subject's left, pitch down
        "eyeLookOutLeft": (0, 0, 1), "eyeLookInLeft": (0, 0, -1), "eyeLookOutRight": (1, 0, -1),
        "eyeLookInRight": (1, 0, 1), "eyeLookDownLeft": (0, 1, 1), "eyeLookUpRight": (1, 1, -1),
    }  # fmt: skip
    turned = gaze(default_model, torch.stack([units[name] for name in looks]))
    for (eye, axis, sign), angles in zip(looks.values(), turned, strict=True):
        assert sign * angles[eye, axis] > 0.1
        assert angles[1 - eye].abs().max() < 0.05
    assert gaze(default_model, torch.zeros(1, 64)).abs().max() == 0
