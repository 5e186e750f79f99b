"""What the default model's mouth and eyes do: lips close, lids close, eyes look, and the tongue comes out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from closed_mouths import closed_mouths, lips_contact, seen_faces
from safetensors.torch import load_file as read_safetensors

from mofa3d.data.face_landmarker import EXPRESSION_NAMES
from mofa3d.data.landmarks_478 import mirrored_mesh
from mofa3d.models.expression_units import expression_units
from mofa3d.models.makehuman import dense_landmarks, learned, seal
from mofa3d.morphable_model import LandmarkBarycentric
from mofa3d.semantic_code import SemanticCode

IRISES = (468, 473)  # of the subject's right and left eye


@pytest.fixture(scope="module")
def units(default_model) -> dict[str, torch.Tensor]:
    return expression_units(default_model)


@pytest.fixture(scope="module")
def points() -> LandmarkBarycentric:
    return dense_landmarks()


@pytest.fixture(scope="module")
def in_mouth(default_model) -> torch.Tensor:
    """Triangles of teeth and tongue, which come after the head and before the strip behind the upper lip."""
    head = len(read_safetensors(learned.PATH)["mean_reflectance"])
    inside = (default_model.faces >= head) & (default_model.faces < len(default_model.mean_shape) - seal.COUNT)
    return inside.all(dim=1)


@pytest.fixture(scope="module")
def mouth(default_model) -> torch.Tensor:
    """Its middle at rest."""
    return default_model.at_landmarks(default_model.mean_shape)[48:68].mean(dim=0)


def at(points: LandmarkBarycentric, model, values: torch.Tensor) -> torch.Tensor:
    return (values[model.faces[points.faces]] * points.weights[..., None]).sum(dim=1)


def eyeball_pixels(model, code: SemanticCode) -> list[int]:
    """Of the subject's right eye and left eye."""
    counts = []
    landmarks = model.at_landmarks(model.mean_shape)
    # The head is one piece; eyeballs are others, of which no vertex is on the skin.
    for eye in (slice(36, 42), slice(42, 48)):
        middle = landmarks[eye].mean(dim=0)
        (seen,) = seen_faces(model, code, middle, 0.0, 96, 8.0)
        counts.append(int(ball_faces(model, middle)[seen].sum()))
    return counts


def ball_faces(model, middle: torch.Tensor) -> torch.Tensor:
    """The triangles of the eyeball behind an eye."""
    points = dense_landmarks()
    iris = model.faces[points.faces[list(IRISES)]]
    nearest = (model.mean_shape[iris].mean(dim=1) - middle).norm(dim=1).argmin()
    inside = torch.zeros(len(model.mean_shape), dtype=torch.bool)
    inside[iris[nearest]] = True
    for _ in range(60):  # grow over the triangles until the ball is whole
        grown = inside.clone()
        grown[model.faces[inside[model.faces].any(dim=1)]] = True
        if torch.equal(grown, inside):
            break
        inside = grown
    return inside[model.faces].all(dim=1)


class TestLips:
    def test_meet_at_rest_in_front_of_the_strip_that_seals_them(self, default_model):
        mean = default_model.mean_shape.double().numpy()
        contact = lips_contact(default_model)
        assert abs(contact.gap(mean[:, 1])).max() < 1  # mm
        above, below = np.split(mean[-seal.COUNT :], 2)
        sides = contact.seam[:, 0]
        assert (np.interp(sides, above[:, 0], above[:, 1]) > mean[contact.upper, 1] + 0.3).all()
        assert (np.interp(sides, below[:, 0], below[:, 1]) < mean[contact.lower, 1] - 0.3).all()

    def test_strip_follows_the_upper_lip(self, default_model, units):
        moved = default_model.expression_basis @ units["mouthShrugUpper"]
        lips = default_model.at_landmarks(moved)[[61, 62, 63], 1]
        assert float(lips.min()) > 2
        assert float(moved[-seal.COUNT :, 1].max()) == pytest.approx(float(lips.max()), abs=0.8)

    def test_landmarks_of_the_inner_lips_lie_each_on_its_own(self, default_model, units):
        opened = default_model.at_landmarks(default_model.expression_basis @ units["jawOpen"])[:, 1]
        assert float((opened[[61, 62, 63]] - opened[[67, 66, 65]]).min()) > 20

    @pytest.mark.parametrize("angle", [0.0, 30.0, -30.0])
    def test_hide_teeth_and_tongue_of_everybody_at_rest(self, default_model, in_mouth, mouth, angle):
        random = torch.Generator().manual_seed(2)
        people = SemanticCode.zeros(20, default_model.sizes).replace(shape=torch.randn(20, 80, generator=random))
        slivers = [int(in_mouth[seen].sum()) for seen in seen_faces(default_model, people, mouth, angle, 128, 2.6)]
        assert slivers == [0] * 20

    def test_hide_teeth_and_tongue_when_cheeks_are_puffed(self, default_model, in_mouth, mouth, units):
        code = SemanticCode.zeros(1, default_model.sizes).replace(expression=units["cheekPuff"][None])
        (seen,) = seen_faces(default_model, code, mouth, 0.0, 128, 2.6)
        assert not in_mouth[seen].any()

    @pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
    def test_closed_ones_hide_teeth_and_tongue(self, default_model, in_mouth, mouth, count):
        codes = closed_mouths(default_model, count)
        for angle in (0.0, 30.0, -30.0):
            seen = seen_faces(default_model, codes, mouth, angle, 128, 2.6)
            pixels = torch.tensor([int(in_mouth[face].sum()) for face in seen])
            assert int(pixels.sum()) == 0

    @pytest.mark.parametrize(("strengths", "least"), [
        ({"mouthSmileLeft": 1, "mouthSmileRight": 1, "jawOpen": 0.2}, 60),
        ({"mouthUpperUpLeft": 1, "mouthUpperUpRight": 1}, 100),
    ])  # fmt: skip
    def test_smiling_ones_show_the_upper_teeth(self, default_model, in_mouth, mouth, units, strengths, least):
        expression = sum(strength * units[name] for name, strength in strengths.items())
        code = SemanticCode.zeros(1, default_model.sizes).replace(expression=expression[None])
        (seen,) = seen_faces(default_model, code, mouth, 0.0, 128, 2.6)
        assert int(in_mouth[seen].sum()) > least

    def test_open_ones_show_both_rows_and_the_tongue(self, default_model, in_mouth, mouth, units):
        code = SemanticCode.zeros(1, default_model.sizes).replace(expression=units["jawOpen"][None])
        (seen,) = seen_faces(default_model, code, mouth, 0.0, 128, 2.6)
        colors = default_model.mean_reflectance[default_model.faces[seen[in_mouth[seen]]]].mean(dim=1)
        white = (colors[:, 1] > 0.75 * colors[:, 0]).sum()
        assert int(white) > 150
        assert len(colors) - int(white) > 300

    def test_dense_points_lie_each_on_its_own(self, default_model, points, units):
        opened = at(points, default_model, default_model.expression_basis @ units["jawOpen"])[:, 1]
        assert float((opened[[81, 82, 13, 312, 311]] - opened[[178, 87, 14, 317, 402]]).min()) > 20
        assert float((opened[[41, 38, 12, 268, 271]] - opened[[179, 86, 15, 316, 403]]).min()) > 20


class TestLids:
    def test_closed_ones_hide_the_eyeballs(self, default_model, units):
        random = torch.Generator().manual_seed(0)
        rest = SemanticCode.zeros(1, default_model.sizes)
        opened = eyeball_pixels(default_model, rest)
        assert min(opened) > 400
        for number in range(5):
            shape = torch.randn(1, 80, generator=random) * (number > 0)
            closed = rest.replace(shape=shape, expression=(units["eyeBlinkLeft"] + units["eyeBlinkRight"])[None])
            assert max(eyeball_pixels(default_model, closed)) < 0.04 * min(opened)

    def test_one_closes_alone(self, default_model, units):
        code = SemanticCode.zeros(1, default_model.sizes).replace(expression=units["eyeBlinkLeft"][None])
        right, left = eyeball_pixels(default_model, code)
        assert left < 20 < 400 < right


class TestGaze:
    @pytest.mark.parametrize(("names", "axis", "sign"), [
        (("eyeLookOutLeft", "eyeLookInRight"), 0, 1),
        (("eyeLookInLeft", "eyeLookOutRight"), 0, -1),
        (("eyeLookUpLeft", "eyeLookUpRight"), 1, 1),
        (("eyeLookDownLeft", "eyeLookDownRight"), 1, -1),
    ])  # fmt: skip
    def test_moves_both_irises(self, default_model, units, points, names, axis, sign):
        code = sum(units[name] for name in names)
        moved = at(points, default_model, default_model.expression_basis @ code)[list(IRISES)]
        assert float((sign * moved[:, axis]).min()) > 2.2  # mm
        assert float(moved[:, 1 - axis].abs().max()) < 1.5
        lids = at(points, default_model, default_model.expression_basis @ code)[[159, 386]]
        if axis == 1:
            assert float((sign * lids[:, 1]).min()) > 0.3  # upper lids follow

    def test_unit_of_one_eye_leaves_the_other(self, default_model, units, points):
        moved = at(points, default_model, default_model.expression_basis @ units["eyeLookOutLeft"])
        assert float(moved[IRISES[0]].norm()) < 0.5 < 4 < float(moved[IRISES[1], 0])


def test_tongue_comes_out(default_model, units):
    head = len(read_safetensors(learned.PATH)["mean_reflectance"])
    moved = default_model.expression_basis[head:] @ units["tongueOut"]
    tip = default_model.mean_shape[head:, 2] + moved[:, 2]
    lips = default_model.at_landmarks(default_model.mean_shape)[[62, 66], 2].min()
    assert float(tip.max()) > float(lips) + 5


def test_has_arkits_52_units(units):
    assert {*EXPRESSION_NAMES[1:], "tongueOut"} <= set(units)
    assert len({*EXPRESSION_NAMES[1:], "tongueOut"}) == 52


class TestDensePoints:
    def test_irises_lie_on_the_eyeballs_and_all_others_on_the_skin(self, default_model, points):
        landmarks = default_model.at_landmarks(default_model.mean_shape)
        balls = [ball_faces(default_model, landmarks[eye].mean(dim=0)) for eye in (slice(36, 42), slice(42, 48))]
        assert bool(balls[0][points.faces[468:473]].all())
        assert bool(balls[1][points.faces[473:]].all())
        assert not bool((balls[0] | balls[1])[points.faces[:468]].any())
        assert points.weights.shape == (478, 3)
        torch.testing.assert_close(points.weights.sum(dim=1), torch.ones(478))

    def test_features_are_where_the_68_landmarks_are(self, default_model, points):
        found = at(points, default_model, default_model.mean_shape)
        landmarks = default_model.at_landmarks(default_model.mean_shape)
        for dense, ibug in ((33, 36), (133, 39), (362, 42), (263, 45), (61, 48), (291, 54), (0, 51), (17, 57)):
            assert float((found[dense] - landmarks[ibug]).norm()) < 6, (dense, ibug)
        assert float((found[[1, 152], :2] - landmarks[[30, 8], :2]).norm(dim=1).max()) < 10

    def test_sides_mirror_each_other(self, default_model, points):
        found = at(points, default_model, default_model.mean_shape)
        pairs = mirrored_mesh(found[:, :2].double().numpy())
        apart = (found[pairs] * torch.tensor([-1.0, 1.0, 1.0]) - found).norm(dim=1)
        assert float(apart.mean()) < 0.3
        assert float(apart.max()) < 2.5
        for right, left in ((33, 263), (133, 362), (61, 291), (50, 280), (105, 334), (145, 374), (159, 386), (98, 327),
                            (468, 473), (205, 425), (58, 288)):  # fmt: skip
            assert float((found[left] * torch.tensor([-1.0, 1.0, 1.0]) - found[right]).norm()) < 1.2, (right, left)
