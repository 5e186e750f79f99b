"""Fits to dense points find the faces whose points they are."""

from __future__ import annotations

import pytest
import torch

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.fitting.dense_fit import DenseFit, DenseFitConfig, shared_shape
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.semantic_code import SemanticCode


@pytest.fixture(scope="module")
def codes(default_model) -> SemanticCode:
    random = torch.Generator().manual_seed(0)

    def draw(count: int, scale: float) -> torch.Tensor:
        return scale * torch.randn(3, count, generator=random)

    place = draw(3, 1.0) * torch.tensor([10.0, 10.0, 30.0])
    return SemanticCode.zeros(3, default_model.sizes).replace(
        shape=draw(80, 1.0), expression=draw(64, 0.5), rotation=draw(3, 0.3), translation=place
    )


def points_of(model, codes: SemanticCode, size: int = 240) -> torch.Tensor:
    attached = dense_landmarks()
    pixels = Decoder(model, Camera(size))(codes).pixels
    return (pixels[:, model.faces[attached.faces]] * attached.weights[..., None]).sum(dim=2)


def distance(model, found: SemanticCode, true: SemanticCode) -> torch.Tensor:
    """Mean over the frontal vertices, mm."""
    apart = model.geometry(found.shape, found.expression) - model.geometry(true.shape, true.expression)
    return apart[:, model.frontal].norm(dim=2).mean(dim=1)


@pytest.mark.parametrize("size", [240, 120])
def test_exact_points_give_the_face_back(default_model, codes, size):
    fit = DenseFit(default_model, dense_landmarks(), Camera(size), DenseFitConfig(noise=0.5))
    found = fit(points_of(default_model, codes, size))
    assert float(found.left.norm(dim=2).mean()) < 0.1 * size / 240
    assert float((found.code.rotation - codes.rotation).norm(dim=1).max()) < 0.01
    assert float(distance(default_model, found.code, codes).max()) < 0.4
    average = SemanticCode.zeros(3, default_model.sizes)
    assert float(distance(default_model, average, codes).min()) > 2


def test_a_known_shape_stays(default_model, codes):
    fit = DenseFit(default_model, dense_landmarks(), config=DenseFitConfig(noise=0.5))
    found = fit(points_of(default_model, codes), codes.shape)
    assert torch.equal(found.code.shape, codes.shape)
    assert float(distance(default_model, found.code, codes).max()) < 0.3


def test_uncertain_points_leave_the_average_face(default_model, codes):
    fit = DenseFit(default_model, dense_landmarks(), config=DenseFitConfig(noise=1000.0))
    assert float(fit(points_of(default_model, codes)).code.shape.abs().max()) < 0.05


def test_two_photographs_say_more_than_one(default_model, codes):
    """The same person in two poses: the shape of both is nearer to the truth than that of either."""
    random = torch.Generator().manual_seed(1)
    twice = torch.tensor([0, 0])
    same = codes[twice].replace(
        rotation=torch.tensor([[0.0, 0.5, 0.0], [0.1, -0.5, 0.0]]), expression=torch.zeros(2, 64)
    )
    points = points_of(default_model, same)
    fit = DenseFit(default_model, dense_landmarks(), config=DenseFitConfig(noise=2.0))
    alone = fit(points + 2 * torch.randn(points.shape, generator=random))
    shape = shared_shape(alone.code.shape, alone.information, twice)
    assert shape.shape == (1, 80)
    together = same[:1].replace(shape=shape)
    each = distance(default_model, alone.code.replace(expression=same.expression), same)
    assert float(distance(default_model, together, same[:1])) < float(each.min())


def test_a_person_with_one_photograph_keeps_its_shape(default_model, codes):
    fit = DenseFit(default_model, dense_landmarks())
    found = fit(points_of(default_model, codes))
    shape = shared_shape(found.code.shape, found.information, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(shape[[2, 0, 1]], found.code.shape, atol=1e-4, rtol=1e-3)


def test_information_is_what_the_shape_is_held_by(default_model, codes):
    """Moving the shape by a little costs what the information says, once all else has followed."""
    fit = DenseFit(default_model, dense_landmarks(), config=DenseFitConfig(steps=12))
    points = points_of(default_model, codes)[:1]
    found = fit(points)
    assert float(torch.linalg.eigvalsh(found.information[0]).min()) > -1e-3

    def price(shape: torch.Tensor) -> float:
        other = fit(points, shape)
        noise = fit.config.noise
        prior = other.code.expression.square().sum() + (other.code.translation[0, 2] / fit.config.distance).square()
        return float(other.left.square().sum() / noise**2 + prior)

    step = 0.5 * torch.eye(80)[:1]
    expected = (step @ found.information[0] @ step.T).item()
    around = price(found.code.shape + step) + price(found.code.shape - step) - 2 * price(found.code.shape)
    assert around / 2 == pytest.approx(expected, rel=0.1)
