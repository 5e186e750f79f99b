"""Errors of an encoder equal the metrics worked out by hand, image by image."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_model import make_code
from torch.utils.data import Dataset

from mofa3d import metrics
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.evaluation.errors import average_face, evaluate, group_correlations, group_means
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import CodeSizes, SemanticCode

SIZE = 48
SIZES = CodeSizes(5, 4, 6)
COUNT = 19  # more than one batch
GREYS = torch.linspace(0, 0.9, COUNT)


class Items(Dataset):
    """Plain grey images, each of its own grey, so that an encoder can tell which one it sees."""

    def __init__(self, landmarks: torch.Tensor, confidence: torch.Tensor, codes: torch.Tensor | None = None) -> None:
        self.landmarks, self.confidence, self.codes = landmarks, confidence, codes

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        item = {
            "image": GREYS[index].expand(3, SIZE, SIZE),
            "landmarks": self.landmarks[index],
            "confidence": self.confidence[index],
        }
        return item if self.codes is None else {**item, "code": self.codes[index]}


def which(image: torch.Tensor) -> torch.Tensor:
    """Index of each image of a batch."""
    return (image[:, 0, 0, 0, None] - GREYS).abs().argmin(dim=1)


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


@pytest.fixture
def mean_points(decode) -> torch.Tensor:
    """Landmarks of the average face (68, 2)."""
    return decode(SemanticCode.zeros(1, SIZES)).landmarks[0]


def test_average_face_is_code_zero(decode):
    code = average_face(decode)(torch.rand(3, 3, SIZE, SIZE))
    assert torch.equal(code, torch.zeros(3, SIZES.total))


class TestEvaluate:
    def test_values_of_the_average_face(self, decode, tiny_model, mean_points):
        # Landmarks that lie (3i, 4i)/10 px beside the average face's, and are (1 + i/10) times as far apart.
        steps = torch.arange(COUNT).view(-1, 1, 1)
        shifted = Items(mean_points + steps * torch.tensor([0.3, 0.4]), torch.ones(COUNT, 68))
        scaled = Items(mean_points * (1 + steps / 10), torch.ones(COUNT, 68))
        errors = evaluate(average_face(decode), decode, VertexRenderer(), shifted, range(COUNT))
        assert set(errors) == {"photometric", "landmark", "area", "yaw", "landmark_yaw"}
        assert errors["landmark"].tolist() == pytest.approx([0.5 * i for i in range(COUNT)], abs=1e-4)
        assert errors["area"].tolist() == pytest.approx([1.0] * COUNT, rel=1e-4)
        areas = evaluate(average_face(decode), decode, VertexRenderer(), scaled, range(COUNT))["area"]
        assert areas.tolist() == pytest.approx([1 / (1 + i / 10) ** 2 for i in range(COUNT)], rel=1e-4)
        # Code 0 is lit by an even 0.7, and the vertices that count are frontal ones that face the camera.
        scene = decode(SemanticCode.zeros(1, SIZES))
        counted = scene.front_facing[0] & tiny_model.frontal
        assert 0 < int(counted.sum()) < len(counted)
        colors = 0.7 * tiny_model.mean_reflectance[counted]
        expected = [float((grey - colors).norm(dim=-1).mean()) for grey in GREYS]
        assert errors["photometric"].tolist() == pytest.approx(expected, abs=1e-5)

    def test_only_the_chosen_images_in_the_order_given(self, decode, mean_points):
        steps = torch.arange(COUNT).view(-1, 1, 1)
        items = Items(mean_points + steps * torch.tensor([0.3, 0.4]), torch.ones(COUNT, 68))
        errors = evaluate(average_face(decode), decode, VertexRenderer(), items, [7, 2, 18])
        assert errors["landmark"].tolist() == pytest.approx([3.5, 1.0, 9.0], abs=1e-4)

    def test_unknown_landmarks_give_nan(self, decode, mean_points):
        confidence = torch.ones(COUNT, 68)
        confidence[1] = 0
        errors = evaluate(
            average_face(decode), decode, VertexRenderer(), Items(mean_points.expand(COUNT, -1, -1), confidence), [0, 1]
        )
        assert [math.isnan(value) for value in errors["landmark"]] == [False, True]
        assert [math.isnan(value) for value in errors["area"]] == [False, True]
        assert [math.isnan(value) for value in errors["landmark_yaw"]] == [False, True]
        assert not errors["photometric"].isnan().any()

    def test_the_true_code_has_no_error(self, decode):
        code = make_code(COUNT, SIZES, dtype=torch.float32)
        items = Items(decode(code).landmarks, torch.ones(COUNT, 68), code.to_vector())
        errors = evaluate(lambda image: items.codes[which(image)], decode, VertexRenderer(), items, range(COUNT))
        assert set(errors) == {"photometric", "landmark", "area", "yaw", "landmark_yaw", "geometric"}
        assert errors["geometric"].tolist() == pytest.approx([0.0] * COUNT, abs=1e-3)
        assert errors["landmark"].tolist() == pytest.approx([0.0] * COUNT, abs=1e-3)
        assert errors["area"].tolist() == pytest.approx([1.0] * COUNT, abs=1e-4)

    def test_yaw_is_that_of_the_rotation_and_of_the_points(self, decode):
        vector = torch.zeros(COUNT, SIZES.total)
        vector[:, SIZES.slices["rotation"].start + 1] = -torch.linspace(-0.4, 0.4, COUNT)
        items = Items(decode(SemanticCode.from_vector(vector, SIZES)).landmarks, torch.ones(COUNT, 68))
        errors = evaluate(lambda image: vector[which(image)], decode, VertexRenderer(), items, range(COUNT))
        expected = torch.rad2deg(torch.linspace(-0.4, 0.4, COUNT))
        torch.testing.assert_close(errors["yaw"], expected)
        torch.testing.assert_close(errors["landmark_yaw"], expected, atol=3.0, rtol=0)  # against the line of sight

    def test_geometric_error_is_that_of_the_frontal_region(self, decode, tiny_model):
        code = make_code(COUNT, SIZES, dtype=torch.float32)
        items = Items(decode(code).landmarks, torch.ones(COUNT, 68), code.to_vector())
        errors = evaluate(average_face(decode), decode, VertexRenderer(), items, range(COUNT))
        for index in (0, COUNT - 1):
            true = code[index : index + 1]
            vertices = tiny_model.geometry(true.shape, true.expression)
            mean = tiny_model.mean_shape[None]
            still = torch.zeros(1, 3)
            expected = metrics.geometric_error(mean, still, vertices, true.rotation, tiny_model.frontal)
            assert float(errors["geometric"][index]) == pytest.approx(float(expected), rel=1e-5)
        assert float(errors["geometric"].min()) > 1

    def test_encoder_is_not_trained(self, decode, mean_points):
        weight = torch.zeros(SIZES.total, requires_grad=True)
        items = Items(mean_points.expand(COUNT, -1, -1), torch.ones(COUNT, 68))
        errors = evaluate(lambda image: weight.expand(len(image), -1), decode, VertexRenderer(), items, [0])
        assert not errors["photometric"].requires_grad


class TestGroupMeans:
    NAN = float("nan")

    def test_nan_is_left_out_and_images_are_counted(self):
        errors = {"landmark": torch.tensor([1.0, self.NAN, 3.0, 8.0]), "area": torch.tensor([0.5, 0.7, 0.9, 1.1])}
        groups = {"all": [True] * 4, "first": [True, True, False, False], "last": [False, False, True, True]}
        table = group_means(errors, groups)
        assert list(table) == ["all", "first", "last"]
        assert table["all"] == pytest.approx({"images": 4, "landmark": 4.0, "area": 0.8})
        assert table["first"] == pytest.approx({"images": 2, "landmark": 1.0, "area": 0.6})
        assert table["last"] == pytest.approx({"images": 2, "landmark": 5.5, "area": 1.0})

    def test_nothing_known(self):
        errors = {"landmark": torch.tensor([self.NAN, 2.0])}
        table = group_means(errors, {"unknown": [True, False], "nobody": [False, False]})
        assert (table["unknown"]["images"], table["nobody"]["images"]) == (1, 0)
        assert math.isnan(table["unknown"]["landmark"])
        assert math.isnan(table["nobody"]["landmark"])


def test_correlation_by_group():
    nan = float("nan")
    a = torch.tensor([1.0, 2.0, 3.0, 4.0, nan, 6.0])
    b = torch.tensor([2.0, 4.0, 6.0, -8.0, 1.0, nan])
    groups = {"rising": [True] * 3 + [False] * 3, "all": [True] * 6, "few": [True, True, False, False, True, True]}
    found = group_correlations(a, b, groups)
    assert found["rising"] == pytest.approx(1.0)
    assert found["all"] == pytest.approx(float(torch.corrcoef(torch.stack([a[:4], b[:4]]))[0, 1]))
    assert math.isnan(found["few"])
