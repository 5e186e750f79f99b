"""Units of expression by name, their strengths, and what is said about wrong ones."""

from __future__ import annotations

import pytest
import torch

from mofa3d.models.expression_units import COMBINATIONS, combine, expression_units, parse_strengths
from mofa3d.morphable_model import MorphableModel


@pytest.fixture
def units(tiny_model):
    return expression_units(tiny_model)


class TestUnits:
    def test_other_models_have_their_columns(self, units):
        assert list(units) == ["expression_1", "expression_2", "expression_3", "expression_4"]
        assert units["expression_3"].tolist() == [0, 0, 1, 0]

    def test_default_model_has_names_and_sums(self, default_model):
        units = expression_units(default_model)
        assert {*COMBINATIONS, "tongueOut", "mouth-open"} <= set(units)
        assert len(units) >= 70 + len(COMBINATIONS)
        assert units["jawOpen"].shape == (64,)
        both = units["mouthFrownLeft"] + units["mouthFrownRight"]
        assert torch.allclose(units["frown"], both)

    def test_unit_moves_what_its_name_says(self, default_model):
        units = expression_units(default_model)

        def moved(name: str) -> torch.Tensor:
            zeros = torch.zeros(1, default_model.sizes.shape)
            still, made = (default_model.geometry(zeros, code[None]) for code in (torch.zeros(64), units[name]))
            return (default_model.landmarks(made) - default_model.landmarks(still))[0]  # mm, y up

        assert float(moved("jawOpen")[8, 1]) < -15
        assert float(moved("smile")[[48, 54], 1].min()) > 4
        assert float(moved("browRaise")[[19, 24], 1].min()) > 1
        blink = moved("blink")
        assert float((blink[[37, 38, 43, 44], 1] - blink[[41, 40, 47, 46], 1]).max()) < -4  # the lids come together
        assert float(moved("eyeBlinkLeft")[36:42].norm(dim=1).max()) < 1  # the subject's right eye stays

    def test_changed_model_has_columns_only(self, default_model):
        def changed(basis: torch.Tensor) -> MorphableModel:
            return MorphableModel(
                mean_shape=default_model.mean_shape,
                shape_basis=default_model.shape_basis,
                expression_basis=basis,
                mean_reflectance=default_model.mean_reflectance,
                reflectance_basis=default_model.reflectance_basis,
                faces=default_model.faces,
                landmark_barycentric=default_model.landmark_barycentric,
                frontal=default_model.frontal,
                name=default_model.name,
            )

        assert len(expression_units(changed(default_model.expression_basis[..., :10]))) == 10
        assert "jawOpen" not in expression_units(changed(default_model.expression_basis.flip(-1)))


class TestStrengths:
    def test_combine_is_a_weighted_sum(self, units):
        assert combine(units, {"expression_1": 0.5, "expression_4": -1}).tolist() == [0.5, 0, 0, -1]
        assert combine(units, {}).tolist() == [0, 0, 0, 0]

    def test_parsing(self, units):
        strengths = parse_strengths(("expression_1=0.5", "expression_2"), units)
        assert strengths == {"expression_1": 0.5, "expression_2": 1.0}

    @pytest.mark.parametrize(("argument", "complaint"), [
        ("expression_1=much", "'much' is not a number; write expression_1=0.5"),
        ("expression_1=", "'' is not a number"),
        ("expression_1=2.5", "the strength of expression_1 is 2.5; give one from 0"),
        ("expression_1=nan", "the strength of expression_1 is nan"),
        ("exression_1=1", r"no expression unit 'exression_1'; did you mean expression_1, expression_"),
        ("zzz", "no expression unit 'zzz'; there are, among others, expression_1, expression_2"),
    ])  # fmt: skip
    def test_mistakes(self, units, argument, complaint):
        with pytest.raises(ValueError, match=complaint):
            parse_strengths((argument,), units)

    def test_nearest_names_of_the_default_model(self, default_model):
        units = expression_units(default_model)
        for wrong, right in {"jawopen": "jawOpen", "mouthSmileleft": "mouthSmileLeft", "Smiling": "smile"}.items():
            with pytest.raises(ValueError, match=rf"no expression unit '{wrong}'; did you mean {right}[,?]"):
                combine(units, {wrong: 1.0})
