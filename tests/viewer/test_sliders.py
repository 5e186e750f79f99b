"""What the sliders do to a code."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from tiny_model import make_code

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.data.yaw import yaw_of
from mofa3d.decoder import Decoder
from mofa3d.editing.codes import turn
from mofa3d.editing.face_measures import Measure
from mofa3d.models.expression_units import expression_units
from mofa3d.semantic_code import CodeSizes, SemanticCode
from mofa3d.viewer.sliders import UNITS, edited, reach, resting, slider_groups

UNNAMED = {"expression_1": torch.eye(4)[0]}
JAW = {"jawWidth": Measure("Jaw width", torch.arange(5.0) / 10, deviation=3.1)}
SLIDERS = {slider.name: slider for group in slider_groups(CodeSizes(), UNNAMED) for slider in group.sliders}


@pytest.fixture
def code() -> SemanticCode:
    return make_code(1, dtype=torch.float32)


def changed(before: SemanticCode, after: SemanticCode) -> set[str]:
    names = [block.name for block in fields(before)]
    return {name for name in names if not torch.equal(getattr(before, name), getattr(after, name))}


def test_groups():
    groups = {group.title: len(group.sliders) for group in slider_groups(CodeSizes(), UNNAMED)}
    assert groups == {"Pose": 3, "Light": 5, "Shape of the head": 8, "Expression": 8, "Skin color": 6}
    more = [group.title for group in slider_groups(CodeSizes(), {"smile": torch.zeros(64)}, JAW) if group.more]
    assert more == ["Shape of the head", "Skin color"]
    small = {group.title: len(group.sliders) for group in slider_groups(CodeSizes(5, 0, 6), {})}
    assert small == {"Pose": 3, "Light": 5, "Shape of the head": 5, "Skin color": 6}


def test_without_a_move_nothing_changes(code):
    assert changed(code, edited(code, {}, UNNAMED)) == set()


def test_columns(code):
    after = edited(code, {"shape 2": 1.5, "reflectance 0": -0.5}, UNNAMED)
    assert changed(code, after) == {"shape", "reflectance"}
    assert float(after.shape[0, 2]) == 1.5
    assert float(after.reflectance[0, 0]) == -0.5
    assert torch.equal(after.shape[0, [0, 1, 3, 4]], code.shape[0, [0, 1, 3, 4]])
    assert torch.equal(after.reflectance[0, 1:], code.reflectance[0, 1:])


def test_expression_units(code):
    size = code.sizes.expression
    units = {"jawOpen": torch.full((size,), 2.0), "smile": torch.arange(size).float(), "mouth-open": torch.ones(size)}
    [group] = [group for group in slider_groups(code.sizes, units) if group.title == "Expression"]
    labels = [slider.label for slider in group.sliders]
    assert labels == ["Own expression", "Open the jaw", "Smile"]
    after = edited(code, {"own": 0.5, "jawOpen": 0.25, "smile": -1.0}, units)
    assert changed(code, after) == {"expression"}
    expected = 0.5 * code.expression + 0.25 * units["jawOpen"] - units["smile"]
    torch.testing.assert_close(after.expression, expected)


def test_measures(code):
    [group] = [group for group in slider_groups(code.sizes, {}, JAW) if group.title == "Shape of the face"]
    [slider] = group.sliders
    assert (slider.label, slider.low, slider.high, slider.text(2.5)) == ("Jaw width", -9, 9, "2.5 mm")
    after = edited(code, {"jawWidth": -4.0, "shape 1": 1.0}, UNNAMED, measures=JAW)
    assert changed(code, after) == {"shape"}
    expected = code.shape.clone()
    expected[0, 1] = 1.0
    torch.testing.assert_close(after.shape, expected - 4 * JAW["jawWidth"].direction)


def test_default_model_has_every_unit_with_a_slider(default_model):
    assert expression_units(default_model).keys() >= UNITS.keys()


def test_sliders_stand_at_the_estimate(code):
    assert resting(SLIDERS["shape 2"], code) == pytest.approx(float(code.shape[0, 2]), abs=0.005)
    assert resting(SLIDERS["kept"], code) == 1.0
    assert reach(SLIDERS["shape 2"], 0.3) == (-3, 3)
    assert reach(SLIDERS["shape 2"], -4.62) == (-5, 3)
    assert reach(SLIDERS["shape 2"], 3.01) == (-3, 4)


@pytest.mark.parametrize(
    ("name", "value", "text"), [("yaw", -12, "−12°"), ("kept", 0.5, "0.50×"), ("shape 0", 1.257, "1.26")]
)
def test_numbers_as_they_are_shown(name, value, text):
    assert SLIDERS[name].text(value) == text


class TestTurn:
    def test_directions(self, tiny_model):
        """The tip of the nose goes to the right of the picture, up, and the top of the head clockwise."""
        decode = Decoder(tiny_model, Camera())
        rest = SemanticCode.zeros(1, tiny_model.sizes)
        start = decode(rest).positions[0]
        nose, top = start[:, 2].argmax(), start[:, 1].argmax()
        assert float(decode(turn(rest, yaw=20)).positions[0, nose, 0] - start[nose, 0]) > 10
        assert float(decode(turn(rest, pitch=20)).positions[0, nose, 1] - start[nose, 1]) > 10
        assert float(decode(turn(rest, roll=20)).positions[0, top, 0] - start[top, 0]) > 10

    def test_angles_add_up_about_the_head(self, code, tiny_model):
        frontal = code.replace(rotation=torch.zeros(1, 3))
        turned = turn(frontal, yaw=25)
        assert float(yaw_of(turned.rotation)) == pytest.approx(25, abs=1e-3)
        torch.testing.assert_close(turn(turned, yaw=-25).translation, frontal.translation, atol=1e-4, rtol=0)
        camera = Camera()
        origin = torch.zeros(1, 1, 3)
        before, after = (camera.to_camera(origin, c.rotation, c.translation) for c in (code, turn(code, 30, 10, -5)))
        torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


class TestLight:
    NORMALS = torch.nn.functional.normalize(torch.randn(1, 500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)

    def light(self, code: SemanticCode, **sliders: float) -> torch.Tensor:
        return harmonics.irradiance(self.NORMALS, edited(code, sliders, UNNAMED).illumination)

    def test_photographs_light_is_dimmed_as_a_whole(self, code):
        torch.testing.assert_close(self.light(code, kept=0.4), 0.4 * self.light(code))

    def test_even_light_is_added_everywhere(self, code):
        torch.testing.assert_close(self.light(code, ambient=0.3), self.light(code) + 0.3)

    def test_lamp(self, code):
        """Nearly a clamped cosine about its direction: to the right and up."""
        light = self.light(code, kept=0.0, lamp=0.8, azimuth=40.0, elevation=30.0)[0]
        around, up = torch.deg2rad(torch.tensor([40.0, 30.0]))
        towards = torch.stack([around.sin() * up.cos(), up.sin(), around.cos() * up.cos()])
        cosine = self.NORMALS[0] @ towards
        # Bands 0 to 2 of a clamped cosine are at most 1/16 away from it, where it is 1, 0 or bends.
        assert float((light - 0.8 * cosine.clamp_min(0)[:, None]).abs().max()) < 0.8 / 16 + 0.03
        turned = self.light(code, kept=0.0, lamp=0.8, azimuth=-40.0, elevation=30.0)[0]
        assert float((turned - 0.8 * cosine.clamp_min(0)[:, None]).abs().max()) > 0.4

    def test_directions_are_those_of_the_photograph_in_which_the_crop_is_tilted(self, code):
        """In a crop that is turned clockwise by a right angle, what is right in the photograph is up."""
        right, up = {"lamp": 0.8, "azimuth": 90.0, "elevation": 0.0}, {"lamp": 0.8, "azimuth": 0.0, "elevation": 90.0}
        tilted, upright = edited(code, right, UNNAMED, tilt=90.0), edited(code, up, UNNAMED)
        torch.testing.assert_close(tilted.illumination, upright.illumination)
        assert torch.equal(
            edited(code, {"yaw": 20.0}, UNNAMED, tilt=90.0).rotation, turn(code, 20.0, tilt=90.0).rotation
        )
