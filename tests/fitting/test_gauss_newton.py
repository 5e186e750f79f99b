"""Gauss-Newton fits come back to the code behind a photograph, downhill all the way."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode, metrics
from mofa3d.fitting.energy import FitEnergy, NormalEquations, Points
from mofa3d.fitting.gauss_newton import Fit, GaussNewton, Level, damped_step, garrido, minimize, shrunk, thies
from mofa3d.fitting.jacobian import SampledFace
from mofa3d.objective import LossWeights
from mofa3d.renderers import make_renderer

SIZE = 96
LEVELS = (Level(4, 2, 8), Level(2, 2, 8), Level(1, 1, 8))


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(24), Camera(SIZE))


@pytest.fixture(scope="module")
def truth() -> SemanticCode:
    return make_code(2, dtype=torch.float32)


@pytest.fixture(scope="module")
def photographs(decode, truth) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        scene = decode(truth)
        image = make_renderer("cpu")(scene).image[:, :3]
    return {"image": image, "landmarks": scene.landmarks, "confidence": torch.ones(2, 68)}


# Of the prior, so little that a face is found which is an unlikely one.
UNBIASED = {"shape_prior": 0.0, "loss": replace(garrido().loss, regularizer=1e-4)}


@pytest.fixture(scope="module")
def fit(decode, photographs) -> Fit:
    """Of both photographs, from the average face."""
    return GaussNewton(decode, garrido(levels=LEVELS))(average(decode), photographs)


def average(decode: Decoder, count: int = 2) -> SemanticCode:
    return SemanticCode.zeros(count, decode.model.sizes)


def errors(decode: Decoder, code: SemanticCode, batch: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Photometric error, and landmark error in pixels."""
    scene = decode(code)
    photometric = metrics.photometric_error(make_renderer("vertex")(scene), batch["image"])
    return float(photometric.mean()), float(
        metrics.landmark_error(scene.landmarks, batch["landmarks"], batch["confidence"]).mean()
    )


class TestFits:
    @pytest.mark.parametrize("method", [garrido, thies])
    def test_the_code_behind_a_photograph_is_found(self, decode, truth, photographs, method):
        config = method(levels=tuple(replace(level, every=1) for level in method().levels), **UNBIASED)
        found = GaussNewton(decode, config)(average(decode), photographs).codes
        photometric_before, landmark_before = errors(decode, average(decode), photographs)
        photometric, landmark = errors(decode, found, photographs)
        assert landmark_before > 3
        assert landmark < 0.3
        assert photometric < 0.1 * photometric_before
        assert (found.rotation - truth.rotation).norm() < 0.1 * truth.rotation.norm()
        assert (found.shape - truth.shape).norm() < 0.5 * truth.shape.norm()

    def test_a_price_on_shape_holds_it_and_nothing_else(self, decode, photographs):
        free, held = (
            GaussNewton(decode, garrido(levels=LEVELS, shape_prior=price))(average(decode), photographs).codes
            for price in (0.0, 10.0)
        )
        assert held.shape.norm() < 0.05 * free.shape.norm()
        assert held.expression.norm() > 0.5 * free.expression.norm()

    def test_numbers_of_steps_are_the_methods(self):
        assert sum(level.steps for level in garrido().levels) == 50
        assert [level.steps for level in thies().levels] == [7, 5, 3]

    def test_energy_falls_with_every_step_that_is_taken(self, fit):
        for steps in fit.steps:
            assert 10 < len(steps) <= 24
            assert sum(step.accepted for step in steps) > 8
            assert [step.level for step in steps] == sorted(step.level for step in steps)
            for step in steps:
                assert step.accepted == (step.after < step.before)
            for step, following in pairwise(steps):
                if step.level == following.level:
                    assert following.before == (step.after if step.accepted else step.before)

    def test_last_energy_is_that_of_the_code(self, decode, photographs, fit):
        points = Points(photographs["landmarks"][1], photographs["confidence"][1])
        image = photographs["image"][1].permute(1, 2, 0).contiguous()
        config = garrido()
        energy = FitEnergy(SampledFace(decode.model, decode.camera), image, points, config.loss, config.shape_prior)
        steps = fit.steps[1]
        last = min(min(step.before, step.after) for step in steps if step.level == 2)
        assert energy.evaluate(fit.codes.to_vector()[1].double()).total == pytest.approx(last, rel=1e-4)

    def test_each_photograph_is_fitted_by_itself(self, decode, photographs, fit):
        second = {name: value[1:] for name, value in photographs.items()}
        alone = GaussNewton(decode, garrido(levels=LEVELS))(average(decode, 1), second).codes
        assert torch.equal(fit.codes[1:].to_vector(), alone.to_vector())

    def test_start_is_where_it_was_said(self, decode, truth, photographs):
        still = GaussNewton(decode, garrido(levels=(Level(1, 1, 0),)))(truth, photographs)
        assert torch.equal(still.codes.to_vector(), truth.to_vector())
        assert still.steps == [[], []]

    def test_no_photographs(self, decode, photographs):
        empty = {name: value[:0] for name, value in photographs.items()}
        assert len(GaussNewton(decode, thies())(average(decode, 0), empty).codes) == 0

    def test_prior_holds_the_code(self, decode, photographs, fit):
        config = garrido(levels=LEVELS)
        held = replace(config, loss=replace(config.loss, regularizer=1.0))
        strict = GaussNewton(decode, held)(average(decode), photographs).codes
        assert strict.shape.norm() < 0.3 * fit.codes.shape.norm()

    def test_tolerance_ends_a_level_early(self, decode, photographs, fit):
        config = garrido(levels=LEVELS, tolerance=0.01)
        fewer = GaussNewton(decode, config)(average(decode), photographs)
        assert len(fewer.steps[0]) < 0.8 * len(fit.steps[0])
        assert errors(decode, fewer.codes, photographs)[1] < 0.5

    def test_double_precision(self, photographs):
        decode = Decoder(make_tiny_model(24, dtype=torch.float64), Camera(SIZE))
        batch = {name: value[:1].double() for name, value in photographs.items()}
        start = SemanticCode.zeros(1, decode.model.sizes, dtype=torch.float64)
        found = GaussNewton(decode, garrido(levels=LEVELS, **UNBIASED))(start, batch).codes
        assert found.shape.dtype == torch.float64
        assert errors(decode, found, batch)[1] < 0.3


def test_landmarks_lead_back_from_afar(decode, truth, photographs):
    """Of a face that stands 40 mm beside its place, colors alone show too little (Tewari et al. 2017, Sec. 7)."""
    beside = average(decode).replace(translation=torch.tensor([[40.0, 0.0, 0.0], [0.0, -40.0, 0.0]]))
    config = thies()
    blind = replace(config, loss=replace(config.loss, landmark=0.0))
    colors_only = {"image": photographs["image"]}
    led = GaussNewton(decode, config)(beside, photographs).codes
    stuck = GaussNewton(decode, blind)(beside, colors_only).codes
    assert errors(decode, led, photographs)[1] < 0.5
    assert errors(decode, stuck, photographs)[1] > 4 * errors(decode, led, photographs)[1]


class TestSteps:
    def test_without_damping_a_quadratic_is_solved_at_once(self):
        matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
        gradient = torch.tensor([1.0, 2.0], dtype=torch.float64)
        step = damped_step(NormalEquations(matrix, gradient), 0.0)
        torch.testing.assert_close(step, -torch.linalg.solve(matrix, gradient), atol=1e-8, rtol=1e-8)

    def test_damping_shortens_along_the_diagonal(self):
        matrix = torch.diag(torch.tensor([4.0, 2.0], dtype=torch.float64))
        step = damped_step(NormalEquations(matrix, torch.tensor([4.0, 4.0], dtype=torch.float64)), 1.0)
        torch.testing.assert_close(step, torch.tensor([-0.5, -1.0], dtype=torch.float64), atol=1e-8, rtol=1e-8)

    def test_what_nothing_depends_on_stays(self):
        matrix = torch.diag(torch.tensor([4.0, 0.0], dtype=torch.float64))
        step = damped_step(NormalEquations(matrix, torch.tensor([4.0, 0.0], dtype=torch.float64)), 1e-3)
        assert float(step[1]) == 0

    def test_no_step_where_the_matrix_has_no_factor(self):
        matrix = torch.diag(torch.tensor([4.0, -1.0], dtype=torch.float64))
        assert damped_step(NormalEquations(matrix, torch.ones(2, dtype=torch.float64)), 1e-3) is None

    def test_uphill_steps_are_not_taken(self, decode, truth, photographs):
        image = photographs["image"][0].permute(1, 2, 0).contiguous()
        energy = FitEnergy(SampledFace(decode.model, decode.camera), image, None, LossWeights())

        class Uphill(FitEnergy):
            def normal_equations(self, at):
                equations = super().normal_equations(at)
                return equations._replace(gradient=-equations.gradient)

        start = average(decode).to_vector()[0].double()
        wrong = Uphill(energy.face, image, None, LossWeights())
        found, taken = minimize(wrong, start, 5, damping=1e-3, tolerance=0.0)
        assert torch.equal(found, start)
        assert taken == [(energy.evaluate(start).total, after, False) for _, after, _ in taken]
        _, taken = minimize(energy, start, 5, damping=1e-3, tolerance=0.0)
        assert any(accepted for *_, accepted in taken)


class TestMistakes:
    def test_codes_and_photographs_must_match(self, decode, photographs):
        with pytest.raises(ValueError, match="3 codes cannot fit 2 photographs"):
            GaussNewton(decode, thies())(average(decode, 3), photographs)

    def test_codes_of_another_model(self, decode, photographs):
        with pytest.raises(ValueError, match="the model 'tiny' takes codes of"):
            GaussNewton(decode, thies())(SemanticCode.zeros(2), photographs)

    def test_photographs_of_another_size(self, decode, photographs):
        with pytest.raises(ValueError, match="the camera sees 96 × 96 pixels, the photographs have 48 × 48"):
            GaussNewton(decode, thies())(average(decode), {**photographs, "image": photographs["image"][..., ::2, ::2]})

    def test_missing_landmarks(self, decode, photographs):
        with pytest.raises(ValueError, match="without landmarks; detect them, or set their weight to 0"):
            GaussNewton(decode, thies())(average(decode), {"image": photographs["image"]})

    def test_photograph_without_numbers(self, decode, photographs):
        dark = {**photographs, "image": torch.full_like(photographs["image"], math.nan)}
        with pytest.raises(ValueError, match="the energy is nan at the start"):
            GaussNewton(decode, thies())(average(decode), dark)

    def test_background_cost(self):
        with pytest.raises(ValueError, match=r"a background cost, got 0\.1; set it to 0"):
            thies(loss=LossWeights(background_cost=0.1))

    def test_levels(self):
        with pytest.raises(ValueError, match="shrink and every of at least 1 and steps of at least 0, got 0, 1 and 3"):
            Level(0, 1, 3)

    def test_photographs_too_small_for_a_level(self, decode, photographs):
        with pytest.raises(ValueError, match="96 pixels cannot be averaged 128 to 1"):
            GaussNewton(decode, garrido(levels=(Level(128, 1, 1),)))


def test_shrunk_images_are_averages_over_equal_parts():
    image = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(shrunk(image, 2).permute(2, 0, 1), torch.nn.functional.avg_pool2d(image, 2))
    ramp = torch.arange(10.0).expand(3, 10, 10)
    expected = torch.tensor([1.2, 4.5, 7.8])  # (0 + 1 + 2 + 3 / 3) / (10 / 3): parts need not end where pixels do
    assert torch.allclose(shrunk(ramp, 3)[1, :, 0], expected, atol=1e-4)
    assert torch.equal(shrunk(image.double(), 1).permute(2, 0, 1), image.double())
