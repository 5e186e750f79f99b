"""The energy is the training losses' and its normal equations are autograd's."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode, losses, metrics
from mofa3d.fitting import energy as fit_energy
from mofa3d.fitting.energy import SMALLEST, WORST, FitEnergy, Points, prior_matrix
from mofa3d.fitting.jacobian import SampledFace
from mofa3d.objective import LossWeights
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import CodeSizes

CAMERA = Camera(64)
WEIGHTS = LossWeights(photometric=1.5, regularizer=0.02, landmark=2.0, lip_closure=3.0, coloured_light=0.7)


def make_image(size: int = 64) -> torch.Tensor:
    return torch.rand(size, size, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def make_points() -> Points:
    generator = torch.Generator().manual_seed(6)
    pixels = 10 + 44 * torch.rand(68, 2, generator=generator, dtype=torch.float64)
    return Points(pixels, torch.rand(68, generator=generator, dtype=torch.float64))


@pytest.fixture
def face(tiny_model_double) -> SampledFace:
    return SampledFace(tiny_model_double, CAMERA)


@pytest.fixture
def vector() -> torch.Tensor:
    return make_code(1).to_vector()[0]


def plain_energy(vector: torch.Tensor, image: torch.Tensor, points: Points, weights: LossWeights) -> torch.Tensor:
    """The same energy from the losses of the training, with the mean over what is visible."""
    model = make_tiny_model(dtype=torch.float64)
    code = SemanticCode.from_vector(vector[None], model.sizes)
    scene = Decoder(model, CAMERA, fused=False)(code)
    rendering = make_renderer("vertex")(scene)
    return (
        weights.photometric * metrics.photometric_error(rendering, image.permute(2, 0, 1)[None])
        + weights.landmark * losses.landmark(scene.landmarks, points.pixels[None], points.confidence[None], 64)
        + weights.lip_closure * losses.lip_closure(scene.landmarks, points.pixels[None], points.confidence[None], 64)
        + weights.regularizer * losses.regularizer(code)
        + weights.coloured_light * losses.coloured_light(code)
    )[0]


@pytest.mark.parametrize(("yaw", "least", "most"), [(0.0, 1.0, 1.0), (1.2, 0.4, 0.9)])
def test_energy_is_that_of_the_losses(face, vector, yaw, least, most):
    vector[face.decode.model.sizes.slices["rotation"]] += torch.tensor([0.0, yaw, 0.0])
    found = FitEnergy(face, make_image(), make_points(), WEIGHTS).evaluate(vector)
    assert found.total == pytest.approx(float(plain_energy(vector, make_image(), make_points(), WEIGHTS)), rel=1e-12)
    assert least <= float(found.counted.double().mean()) <= most


def test_gradient_is_autograds(face, vector):
    energy = FitEnergy(face, make_image(), make_points(), WEIGHTS)
    at = energy.evaluate(vector)
    assert at.residuals[at.counted].norm(dim=1).min() > SMALLEST
    leaf = vector.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain_energy(leaf, make_image(), make_points(), WEIGHTS), leaf)
    # The landmark weights' thirds are in single precision.
    torch.testing.assert_close(energy.normal_equations(at).gradient, expected, atol=1e-6, rtol=1e-6)


def test_hessian_is_the_reweighted_square_of_autograds_jacobian(face, vector):
    image, points = make_image(), make_points()
    energy = FitEnergy(face, image, points, WEIGHTS)
    at = energy.evaluate(vector)
    plain = Decoder(face.decode.model, CAMERA, fused=False)

    def residuals(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scene = plain(SemanticCode.from_vector(v[None], face.decode.model.sizes))
        shown = losses.sample(image.permute(2, 0, 1)[None], scene.pixels)[0].T
        return (scene.colors[0] - shown)[face.vertices][at.counted], scene.landmarks[0] / 32

    colors, places = torch.autograd.functional.jacobian(residuals, vector)
    distance = at.residuals[at.counted].norm(dim=1)
    weight = WEIGHTS.photometric / len(distance) / distance
    chosen, (upper, lower) = list(losses.LANDMARKS_46), (list(p) for p in zip(*losses.LIP_PAIRS, strict=True))
    certain, lips = points.confidence, places[upper] - places[lower]
    expected = (
        torch.einsum("v,vci,vcj->ij", weight, colors, colors)
        + 2 * WEIGHTS.landmark * torch.einsum("v,vci,vcj->ij", certain[chosen], places[chosen], places[chosen])
        + 2 * WEIGHTS.lip_closure * torch.einsum("v,vci,vcj->ij", certain[upper] * certain[lower], lips, lips)
        + 2 * prior_matrix(face.decode.model.sizes, WEIGHTS)
    )
    torch.testing.assert_close(energy.normal_equations(at).hessian, expected, atol=1e-6, rtol=1e-6)


def test_blocks_do_not_matter(face, vector, monkeypatch):
    energy = FitEnergy(face, make_image(), make_points(), WEIGHTS)
    whole = energy.normal_equations(energy.evaluate(vector))
    monkeypatch.setattr(fit_energy, "BLOCK", 7)
    parts = energy.normal_equations(energy.evaluate(vector))
    torch.testing.assert_close(parts.hessian, whole.hessian)
    torch.testing.assert_close(parts.gradient, whole.gradient)


def test_single_precision_is_close(face, vector):
    exact = FitEnergy(face, make_image(), make_points(), WEIGHTS)
    single_face = SampledFace(make_tiny_model(), CAMERA)
    points = Points(*(value.float() for value in make_points()))
    single = FitEnergy(single_face, make_image().float(), points, WEIGHTS)
    a, b = exact.evaluate(vector), single.evaluate(vector)
    assert b.total == pytest.approx(a.total, rel=1e-5)
    expected, found = exact.normal_equations(a), single.normal_equations(b)
    assert found.hessian.dtype == found.gradient.dtype == torch.float64
    assert float((found.hessian - expected.hessian).norm() / expected.hessian.norm()) < 1e-2
    assert float((found.gradient - expected.gradient).norm() / expected.gradient.norm()) < 1e-2


def test_smaller_photographs_are_stretched_over_the_camera(face, vector):
    # A ramp of colors is the same ramp at half the size.
    ramp = (torch.arange(64, dtype=torch.float64) + 0.5)[None, :, None].expand(64, 64, 3) / 64
    half = (torch.arange(32, dtype=torch.float64) + 0.5)[None, :, None].expand(32, 32, 3) / 32
    weights = LossWeights()
    whole, small = (FitEnergy(face, image.contiguous(), None, weights) for image in (ramp, half))
    a, b = whole.evaluate(vector), small.evaluate(vector)
    # They differ only within a pixel of the border.
    assert b.total == pytest.approx(a.total, rel=1e-3)
    expected, found = whole.normal_equations(a), small.normal_equations(b)
    torch.testing.assert_close(found.gradient, expected.gradient, atol=1e-3, rtol=0.02)


def test_nothing_visible_is_the_worst_photograph(face):
    away = SemanticCode.zeros(1, face.decode.model.sizes, dtype=torch.float64).to_vector()[0]
    away[face.decode.model.sizes.slices["translation"]] = torch.tensor([3000.0, 0.0, 0.0], dtype=torch.float64)
    energy = FitEnergy(face, make_image(), None, LossWeights())
    at = energy.evaluate(away)
    assert at.total == pytest.approx(1.92 * WORST)
    assert torch.equal(energy.normal_equations(at).gradient, 2 * energy.prior @ away)
    infinite = energy.evaluate(torch.full_like(away, math.nan))
    assert not infinite.total < at.total


def test_points_without_confidence_do_not_count(face, vector):
    points = make_points()
    confidence = points.confidence.clone()
    confidence[20:40] = 0
    wild = points.pixels.clone()
    wild[20:40] = 1e6
    a, b = (FitEnergy(face, make_image(), Points(p, confidence), WEIGHTS) for p in (points.pixels, wild))
    at, other = a.evaluate(vector), b.evaluate(vector)
    assert at.total == other.total
    torch.testing.assert_close(a.normal_equations(at).gradient, b.normal_equations(other).gradient)


def test_landmarks_of_weight_0_are_left_out(face, vector):
    weights = LossWeights(landmark=0.0)
    with_points, without = (FitEnergy(face, make_image(), points, weights) for points in (make_points(), None))
    assert with_points.evaluate(vector).total == without.evaluate(vector).total


def test_prior_is_that_of_the_losses():
    code = make_code(1)
    vector = code.to_vector()[0]
    expected = 0.02 * losses.regularizer(code) + 0.7 * losses.coloured_light(code)
    assert float(vector @ prior_matrix(code.sizes, WEIGHTS) @ vector) == pytest.approx(float(expected), rel=1e-12)


def test_shape_may_cost_more_than_its_part_of_the_regulariser():
    sizes = CodeSizes(3, 2, 2)
    more = prior_matrix(sizes, WEIGHTS, 0.5) - prior_matrix(sizes, WEIGHTS)
    expected = torch.zeros(sizes.total, dtype=torch.float64)
    expected[:3] = 0.5
    torch.testing.assert_close(more, torch.diag(expected))
