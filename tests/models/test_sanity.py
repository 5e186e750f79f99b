"""The measurements are right on models that were made to measure, and every fault is named."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mofa3d.models import sanity
from mofa3d.models.sanity import Action, Sanity
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

RIGHT_EYE, LEFT_EYE = list(range(36, 42)), list(range(42, 48))
GOOD = Sanity(
    face_width=140.0,
    eye_distance=63.0,
    samples=10,
    eye_distance_mean=63.0,
    eye_distance_sd=3.0,
    eye_distance_inside=1.0,
    deviation=3.0,
    outside=0.0,
    actions={
        "opens the mouth": Action(0, 1, 16.0),
        "closes the lids": Action(1, 1, 5.0),
        "raises the brows": Action(2, -1, 4.0),
    },
    inner_lips=15.0,
)


def make_model(scale: float = 1.0) -> MorphableModel:
    """Vertices that are landmarks: a face 140 mm wide with eyes 62 mm apart.

    Shape: column 0 moves the eyes apart (2 mm in all), column 1 moves every vertex forwards (3 mm). Expression:
    column 0 opens the mouth at -1 (5 mm), column 1 shuts the left eye (2 mm), column 2 lifts both brows (1.5 mm).
    Reflectance: column 0 makes one vertex in four brighter than white, or darker than black, beyond two standard
    deviations.
    """
    points = torch.zeros(68, 3)
    points[0, 0], points[16, 0] = -70, 70
    points[RIGHT_EYE, 0], points[LEFT_EYE, 0] = -31, 31
    shape, expression, reflectance = torch.zeros(68, 3, 2), torch.zeros(68, 3, 3), torch.zeros(68, 3, 1)
    shape[RIGHT_EYE, 0, 0], shape[LEFT_EYE, 0, 0] = -1, 1
    shape[:, 2, 1] = 3
    expression[[55, 56, 57, 58, 59, 65, 66, 67], 1, 0] = 5
    expression[[43, 44], 1, 1] = -2
    expression[17:27, 1, 2] = 1.5
    reflectance[:17, 1, 0] = 0.25
    index = torch.arange(68)
    return MorphableModel(
        mean_shape=scale * points,
        shape_basis=scale * shape,
        expression_basis=scale * expression,
        mean_reflectance=torch.full((68, 3), 0.5),
        reflectance_basis=reflectance,
        faces=torch.stack([index, (index + 1) % 68, (index + 2) % 68], dim=1),
        landmark_barycentric=LandmarkBarycentric(index, torch.tensor([1.0, 0.0, 0.0]).expand(68, 3)),
        frontal=index >= 0,
    )


class TestMeasurements:
    def test_distances_of_the_mean_face(self):
        found = sanity.check(make_model())
        assert found.face_width == pytest.approx(140)
        assert found.eye_distance == pytest.approx(62)

    def test_eye_distance_of_random_faces(self):
        found = sanity.check(make_model(), samples=4000)
        assert found.eye_distance_mean == pytest.approx(62, abs=0.15)
        assert found.eye_distance_sd == pytest.approx(2, rel=0.05)
        # 55 and 71 are 3.5 and 4.5 standard deviations away.
        assert found.eye_distance_inside > 0.999
        wide = make_model()
        wide.shape_basis[..., 0] *= 4  # 62 ± 8: from -0.875 to 1.125 standard deviations
        share = (math.erf(0.875 / math.sqrt(2)) + math.erf(1.125 / math.sqrt(2))) / 2
        assert sanity.check(wide, samples=4000).eye_distance_inside == pytest.approx(share, abs=0.02)

    def test_eye_distance_is_measured_in_space(self):
        points = torch.zeros(2, 68, 3)
        points[1, LEFT_EYE] = torch.tensor([3.0, 4.0, 12.0])
        assert sanity.eye_distance(points).tolist() == pytest.approx([0, 13])

    def test_deviation(self):
        mean = torch.zeros(2, 3)
        vertices = torch.tensor([[[1.0, 0, 0], [0, 0, 3]], [[0, 5, 0], [0, 3, 4]]])
        assert sanity.deviation(vertices, mean) == pytest.approx(math.sqrt((1 + 9 + 25 + 25) / 4))
        # Twelve of the 68 vertices move by 1 mm sideways too.
        expected = math.sqrt(9 + 12 / 68)
        assert sanity.check(make_model(), samples=4000).deviation == pytest.approx(expected, rel=0.03)

    def test_deviation_is_that_of_the_frontal_region(self):
        model = make_model()
        model.shape_basis[:10] *= 100
        model.frontal[:10] = False
        expected = math.sqrt(9 + 12 / 58)
        assert sanity.check(model, samples=4000).deviation == pytest.approx(expected, rel=0.03)

    def test_share_of_impossible_colors(self):
        codes = torch.tensor([[0.0], [1.9], [2.1], [-2.1]])
        assert sanity.share_outside(make_model(), codes) == pytest.approx(2 * 17 / (4 * 68))

    def test_same_seed_same_answer(self):
        assert sanity.check(make_model(), seed=3) == sanity.check(make_model(), seed=3)
        assert sanity.check(make_model(), seed=3) != sanity.check(make_model(), seed=4)


class TestActions:
    def test_best_columns(self):
        actions = sanity.check(make_model()).actions
        assert actions["opens the mouth"] == Action(0, -1, 10.0)
        assert actions["closes the lids"] == Action(1, 1, 4.0)
        assert actions["raises the brows"] == Action(2, 1, 3.0)

    def test_inner_lips_part_with_the_outer_ones(self):
        assert sanity.check(make_model()).inner_lips == pytest.approx(10)
        model = make_model()
        model.expression_basis[[65, 66, 67]] = 0  # as if they lay on the upper lip
        assert sanity.check(model).inner_lips == pytest.approx(0)

    def test_brows_are_raised_over_the_eyes(self):
        model = make_model()
        model.expression_basis[..., 2] = 0
        model.expression_basis[:, 1, 2] = 9  # the whole face goes up
        assert sanity.best_column(model, "raises the brows").amount < 1e-5

    def test_model_without_expressions_and_without_shapes(self):
        whole = make_model()
        model = MorphableModel(
            mean_shape=whole.mean_shape,
            shape_basis=whole.shape_basis[..., :0],
            expression_basis=whole.expression_basis[..., :0],
            mean_reflectance=whole.mean_reflectance,
            reflectance_basis=whole.reflectance_basis[..., :0],
            faces=whole.faces,
            landmark_barycentric=whole.landmark_barycentric,
            frontal=whole.frontal,
        )
        found = sanity.check(model)
        assert set(found.actions.values()) == {Action(None, 1, 0.0)}
        assert (found.eye_distance_sd, found.deviation, found.outside) == (0, 0, 0)
        assert "no expression opens the mouth: the model has none" in found.complaints()


class TestComplaints:
    def test_none_about_a_good_model(self):
        assert GOOD.complaints() == ()
        assert sanity.check(make_model()).complaints() == ()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"face_width": 14.0}, "the face is 14.0 mm wide, expected 120 to 170 mm; are these mm?"),
            ({"eye_distance_mean": 54.0}, "the eyes of random faces are 54.0 ± 3.0 mm apart, 100% of them within 55"),
            ({"eye_distance_mean": 72.0}, "the eyes of random faces are 72.0 ± 3.0 mm apart"),
            ({"eye_distance_inside": 0.5}, "63.0 ± 3.0 mm apart, 50% of them within 55 to 71 mm; expected nearly all"),
            ({"deviation": 1.9}, "random faces deviate from the mean by 1.90 mm rms, expected 2 to 4 mm"),
            ({"deviation": 4.1}, "random faces deviate from the mean by 4.10 mm rms"),
            ({"deviation": math.nan}, "random faces deviate from the mean by nan mm rms"),
            ({"outside": 0.2}, "20.0% of the samples' colors are outside 0 to 1"),
            ({"inner_lips": 0.1}, "landmarks 61–63 and 65–67 part by 0.1 mm; do they lie on the same lip?"),
            (
                {"actions": {**GOOD.actions, "raises the brows": Action(0, 1, 50.0)}},
                "column 0 raises the brows by 50.0 mm at two standard deviations; do the columns of the expression",
            ),
            (
                {"actions": {**GOOD.actions, "closes the lids": Action(7, 1, 0.5)}},
                "no expression closes the lids: the best, column 7, moves 0.50 mm at two standard deviations",
            ),
        ],
    )
    def test_each_fault_is_named(self, change, said):
        [complaint] = replace(GOOD, **change).complaints()
        assert said in complaint

    def test_model_in_centimetres(self):
        text = "\n".join(sanity.check(make_model(scale=0.1)).complaints())
        for part in ("14.0 mm wide", "6.2 ± 0.2 mm apart, 0% of them", "0.3", "no expression raises the brows"):
            assert part in text


def test_default_model_is_of_human_size_and_variety(default_model):
    found = sanity.check(default_model)
    assert 140 < found.face_width < 165
    assert found.eye_distance_mean == pytest.approx(63, abs=8)
    assert found.eye_distance_inside > 0.95
    assert 2 < found.deviation < 4
    assert all(action.amount > sanity.VISIBLE for action in found.actions.values())
