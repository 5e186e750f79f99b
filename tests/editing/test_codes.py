"""Edited codes: heads turn about their place, expressions add up, skin and light change, and nothing else does."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch
from tiny_model import make_code

from mofa3d.camera import Camera
from mofa3d.data.yaw import yaw_of
from mofa3d.decoder import Decoder
from mofa3d.editing import codes
from mofa3d.models.expression_units import expression_units
from mofa3d.pictures.color import LUMA
from mofa3d.semantic_code import CodeSizes, SemanticCode

CAMERA = Camera(240)


def place(code: SemanticCode) -> torch.Tensor:
    """Where the model's origin lies in camera space, mm."""
    origin = torch.zeros(len(code), 1, 3, dtype=code.rotation.dtype)
    return CAMERA.to_camera(origin, code.rotation, code.translation)[:, 0]


def same_but(before: SemanticCode, after: SemanticCode, *changed: str) -> bool:
    others = [field.name for field in fields(before) if field.name not in changed]
    return all(torch.equal(getattr(before, name), getattr(after, name)) for name in others)


class TestTurn:
    @pytest.mark.parametrize("angle", ["yaw", "pitch", "roll"])
    def test_there_and_back_is_the_identity(self, angle):
        code = make_code()
        back = codes.turn(codes.turn(code, **{angle: 25.0}), **{angle: -25.0})
        assert torch.allclose(back.to_vector(), code.to_vector(), atol=1e-9)
        assert float((codes.turn(code, **{angle: 25.0}).rotation - code.rotation).abs().max()) > 0.1

    def test_keeps_the_place_and_everything_else(self):
        code = make_code()
        turned = codes.turn(code, yaw=30, pitch=-10, roll=5)
        assert torch.allclose(place(turned), place(code), atol=1e-9)
        assert float(place(code).abs().max()) > 3
        assert same_but(code, turned, "rotation", "translation")

    @pytest.mark.parametrize(("angle", "point", "expected"), [
        ("yaw", (0, 0, 1), (1, 0, 0)),  # the nose goes to the right of the picture
        ("pitch", (0, 0, 1), (0, 1, 0)),  # and up
        ("roll", (0, 1, 0), (1, 0, 0)),  # the crown goes clockwise
    ])  # fmt: skip
    def test_directions_are_those_of_the_picture(self, angle, point, expected):
        turned = codes.turn(SemanticCode.zeros(1, CodeSizes(5, 4, 6), dtype=torch.float64), **{angle: 90.0})
        where = CAMERA.to_camera(torch.tensor([[point]], dtype=torch.float64), turned.rotation, turned.translation)
        assert torch.allclose(where[0, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-12)

    @pytest.mark.parametrize(("angle", "point", "expected"), [
        ("yaw", (0, 0, 1), (0, 1, 0)),
        ("pitch", (0, 0, 1), (-1, 0, 0)),
        ("roll", (0, 1, 0), (1, 0, 0)),
    ])  # fmt: skip
    def test_directions_are_those_of_the_picture_in_which_the_crop_is_tilted(self, angle, point, expected):
        """In a crop that is turned clockwise by a right angle, what is right in the picture is up."""
        code = SemanticCode.zeros(1, CodeSizes(5, 4, 6), dtype=torch.float64)
        turned = codes.turn(code, **{angle: 90.0}, tilt=90.0)
        where = CAMERA.to_camera(torch.tensor([[point]], dtype=torch.float64), turned.rotation, turned.translation)
        assert torch.allclose(where[0, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-12)

    def test_yaw_has_the_sign_of_the_reports(self):
        assert float(yaw_of(codes.turn(SemanticCode.zeros(), yaw=20).rotation)) == pytest.approx(20, abs=1e-4)

    def test_angles_are_finite(self):
        with pytest.raises(ValueError, match="yaw is nan; give a number from -3600 to 3600"):
            codes.turn(SemanticCode.zeros(), yaw=math.nan)


def test_move_goes_along_the_axes_of_the_picture():
    code = make_code()
    moved = codes.move(code, right=5, up=-3, nearer=20)
    assert torch.allclose(place(moved) - place(code), torch.tensor([5.0, -3.0, 20.0], dtype=torch.float64), atol=1e-9)
    assert same_but(code, moved, "translation")
    tilted = codes.move(code, right=5, up=-3, nearer=20, tilt=90.0)
    assert torch.allclose(place(tilted) - place(code), torch.tensor([3.0, 5.0, 20.0], dtype=torch.float64), atol=1e-9)


class TestExpression:
    @pytest.fixture
    def units(self, tiny_model):
        return expression_units(tiny_model)

    def test_add_adds(self, tiny_code, units):
        strengths = {"expression_2": 0.5, "expression_4": 1.0}
        expected = torch.tensor([0.0, 0.5, 0.0, 1.0])
        added = codes.add_expression(tiny_code, units, strengths)
        assert torch.allclose(added.expression, tiny_code.expression + expected)
        assert same_but(tiny_code, added, "expression")

    def test_neutral(self, tiny_code):
        assert float(codes.neutral(tiny_code).expression.abs().max()) == 0
        assert same_but(tiny_code, codes.neutral(tiny_code), "expression")

    def test_transfer_to_itself_is_the_identity(self, tiny_code):
        assert torch.equal(codes.transfer_expression(tiny_code, tiny_code).to_vector(), tiny_code.to_vector())

    def test_transfer_is_relative_to_the_sources_rest(self, tiny_code):
        source, rest = make_code(seed=1, dtype=torch.float32), make_code(seed=2, dtype=torch.float32)
        moved = codes.transfer_expression(tiny_code, source, rest)
        assert torch.equal(moved.expression, source.expression - rest.expression)
        assert same_but(tiny_code, moved, "expression")
        assert float(codes.transfer_expression(tiny_code, rest, rest).expression.abs().max()) == 0

    def test_other_models_are_refused(self, tiny_code):
        with pytest.raises(ValueError, match="the faces have 4 and 7 expression coefficients; take codes of one face"):
            codes.transfer_expression(tiny_code, SemanticCode.zeros(1, CodeSizes(5, 7, 6)))


def test_relight_takes_one_light_for_all(tiny_code):
    light = make_code(batch=1, seed=1, dtype=torch.float32).illumination
    relit = codes.relight(tiny_code, light)
    assert torch.equal(relit.illumination, light.expand(3, 9, 3))
    assert same_but(tiny_code, relit, "illumination")


class TestReflectance:
    def test_blend(self, tiny_code):
        other = make_code(seed=1, dtype=torch.float32)
        quarter = codes.blend_reflectance(tiny_code, 0.25, other).reflectance
        assert torch.allclose(quarter, 0.75 * tiny_code.reflectance + 0.25 * other.reflectance)
        assert torch.equal(codes.blend_reflectance(tiny_code, 0.5).reflectance, tiny_code.reflectance / 2)
        with pytest.raises(ValueError, match=r"0 to 1, got 1\.5"):
            codes.blend_reflectance(tiny_code, 1.5, other)

    def test_lighten_changes_the_mean_luminance_by_the_amount(self, tiny_model, tiny_code):
        def luminance(code: SemanticCode) -> torch.Tensor:
            colors = tiny_model.reflectance(code.reflectance)[:, tiny_model.frontal]
            return (colors * torch.tensor(LUMA)).sum(dim=2).mean(dim=1)

        darker = codes.lighten(tiny_code, tiny_model, -0.02)
        assert torch.allclose(luminance(darker), luminance(tiny_code) - 0.02, atol=1e-5)
        assert same_but(tiny_code, darker, "reflectance")


def test_open_jaw_moves_the_chin_down(default_model):
    decode, units = Decoder(default_model, CAMERA), expression_units(default_model)
    code = SemanticCode.zeros()
    before, after = (decode(c).landmarks[0] for c in (code, codes.add_expression(code, units, {"jawOpen": 0.5})))
    assert float((after - before)[57, 1]) > 8  # the lower lip, pixels of 240, y down
    assert float((after - before)[8, 1]) > 6.5  # the chin, where annotators see it: on its underside
    assert float((after - before)[30].norm()) < 1  # the tip of the nose


def test_smile_of_one_side_is_the_subjects(default_model):
    decode, units = Decoder(default_model, CAMERA), expression_units(default_model)
    code = SemanticCode.zeros()
    before, after = (decode(c).landmarks[0] for c in (code, codes.add_expression(code, units, {"mouthSmileLeft": 1})))
    # Landmark 54 is the corner of the mouth on the subject's left, at the right of the picture.
    assert float(before[54, 0]) > float(before[48, 0])
    assert float((before - after)[54, 1]) > 3
    assert abs(float((before - after)[48, 1])) < 1
