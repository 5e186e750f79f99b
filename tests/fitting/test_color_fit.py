"""Colors are fitted to photographs of the model itself, to the least of the energy, and geometry stays."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from tiny_model import make_code, make_tiny_model
from torch import Tensor

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.fitting import color_fit
from mofa3d.fitting.baked_light import shading_of_skin
from mofa3d.fitting.color_fit import ColorFit, solve
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.renderers import make_renderer

pytestmark = pytest.mark.usefixtures("colors_of_few_vertices")

SIZE = 96
GEOMETRY = ("shape", "expression", "rotation", "translation")


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(rings=40), Camera(SIZE))


@pytest.fixture(scope="module")
def true() -> SemanticCode:
    return make_code(2, dtype=torch.float32)


@pytest.fixture(scope="module")
def image(decode, true) -> Tensor:
    with torch.no_grad():
        return make_renderer("cpu")(decode(true)).image[:, :3]


@pytest.fixture
def predicted(true) -> SemanticCode:
    """The right geometry with nobody's colors."""
    blank = {name: torch.zeros_like(getattr(true, name)) for name in ("reflectance", "illumination")}
    return true.replace(**blank)


def distances(decode: Decoder, code: SemanticCode, image: Tensor) -> tuple[Tensor, Tensor]:
    """Of the colors of frontal vertices from the photograph, and which of them are seen."""
    scene = decode(code)
    difference = losses.sample(image, scene.pixels).transpose(1, 2) - scene.colors
    return difference.norm(dim=2), scene.front_facing & losses.inside(scene.pixels, image) & scene.frontal


def mean_error(decode: Decoder, code: SemanticCode, image: Tensor) -> float:
    distance, seen = distances(decode, code, image)
    return float((distance * seen).sum() / seen.sum())


def energy(decode: Decoder, code: SemanticCode, image: Tensor, before: SemanticCode) -> Tensor:
    """What is minimised, written down in another way; below the smallest distance it is a parabola."""
    soft = [
        cv2.GaussianBlur(one.permute(1, 2, 0).numpy(), (7, 7), 1.0, borderType=cv2.BORDER_REPLICATE) for one in image
    ]
    distance, seen = distances(decode, code, torch.from_numpy(np.stack(soft)).permute(0, 3, 1, 2))
    least = color_fit.SMALLEST
    bowl = torch.where(distance < least, distance.square() / (2 * least) + least / 2, distance)
    moved = (code.illumination - before.illumination).square().sum(dim=(1, 2))
    change = code.reflectance - before.reflectance
    face = decode.model.reflectance_basis[decode.model.frontal][:: color_fit.EVERY].mean(dim=0)
    turns = [change @ basis.T for basis in (SkinTone(decode.model).basis, face)]
    lighter = sum(3 * turn.mean(dim=1).square() for turn in turns)
    other_hue = sum((turn - turn.mean(dim=1, keepdim=True)).square().sum(dim=1) for turn in turns)
    shading = (code.reflectance @ shading_of_skin(decode.model).T).square().sum(dim=1)
    return (
        color_fit.PHOTOMETRIC * (bowl * seen).sum(dim=1) / seen.sum(dim=1)
        + color_fit.REFLECTANCE * change.square().sum(dim=1)
        + color_fit.WHITE * losses.coloured_light(code)
        + color_fit.LIGHT * moved
        + color_fit.LIGHTNESS * lighter
        + color_fit.HUE * other_hue
        + color_fit.SHADING * shading
    )


@pytest.mark.processor
def test_colors_become_the_photographs_and_geometry_stays(decode, predicted, image):
    found = ColorFit(decode)(predicted, image)
    assert mean_error(decode, found, image) < 0.25 * mean_error(decode, predicted, image)
    for name in GEOMETRY:
        assert torch.equal(getattr(found, name), getattr(predicted, name))


def test_it_is_the_least_of_the_energy(decode, predicted, image, monkeypatch):
    monkeypatch.setattr(color_fit, "ROUNDS", 100)
    double = Decoder(make_tiny_model(rings=40, dtype=torch.float64), decode.camera)
    before = SemanticCode.from_vector(predicted.to_vector().double(), predicted.sizes)
    found = ColorFit(double)(before, image.double())

    def slope(code: SemanticCode) -> float:
        colors = [getattr(code, name).clone().requires_grad_() for name in ("reflectance", "illumination")]
        code = code.replace(reflectance=colors[0], illumination=colors[1])
        gradients = torch.autograd.grad(energy(double, code, image.double(), before).sum(), colors)
        return max(float(gradient.abs().max()) for gradient in gradients)

    assert slope(before) > 0.01
    assert slope(found) < 1e-4 * slope(before)


def test_the_tone_stays_as_predicted_unless_it_is_free(decode, predicted, image):
    tone, photo = SkinTone(decode.model), 0.6 * image
    before = tone(predicted.reflectance)
    kept, free = (tone(ColorFit(decode, keep_tone=keep)(predicted, photo).reflectance) for keep in (True, False))
    assert float((kept - before).mean(dim=1).abs().max()) < 0.01  # lightness
    hue = [(found - before) - (found - before).mean(dim=1, keepdim=True) for found in (kept, free)]
    assert float(hue[0].abs().max()) < 0.5 * float(hue[1].abs().max())
    assert float((free - before).abs().max()) > 0.03


def test_few_rounds_come_near_to_the_least(decode, predicted, image, monkeypatch):
    found = energy(decode, ColorFit(decode)(predicted, image), image, predicted)
    start = energy(decode, predicted, image, predicted)
    monkeypatch.setattr(color_fit, "ROUNDS", 100)
    least = energy(decode, ColorFit(decode)(predicted, image), image, predicted)
    assert (least < found).all()
    assert (found - least < 0.15 * (start - least)).all()


def test_what_covers_a_part_hardly_colors_the_rest(decode, true, image):
    covered = image.clone()
    covered[:, :, 40:58, 40:58] = torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1)
    fit = ColorFit(decode)
    plain, found = fit(true, image), fit(true, covered)
    # Squares follow the blue; norms forgive it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(color_fit, "SMALLEST", 1e3)
        patch.setattr(color_fit, "PHOTOMETRIC", color_fit.PHOTOMETRIC * 1e3 / 0.05)
        fooled = fit(true, covered)
    assert mean_error(decode, found, image) < 2.5 * mean_error(decode, plain, image)
    assert mean_error(decode, fooled, image) > 2 * mean_error(decode, found, image)


def test_light_alone_keeps_the_reflectance(decode, true, predicted, image):
    lit = ColorFit(decode)(predicted.replace(reflectance=true.reflectance), image, light_only=True)
    assert torch.equal(lit.reflectance, true.reflectance)
    assert mean_error(decode, lit, image) < 0.5 * mean_error(decode, predicted, image)
    error, before = ((code.illumination - true.illumination).norm() for code in (lit, predicted))
    assert error < 0.8 * before


@pytest.mark.processor
def test_images_of_a_batch_do_not_meet(decode, predicted, image):
    # In float32, how a processor adds the numbers of a batch shows in the fifth digit.
    fit = ColorFit(Decoder(make_tiny_model(rings=40, dtype=torch.float64), decode.camera))
    codes, image = SemanticCode.from_vector(predicted.to_vector().double(), predicted.sizes), image.double()
    together = fit(codes, image).to_vector()
    for i in range(2):
        alone = fit(codes[i : i + 1], image[i : i + 1]).to_vector()[0]
        torch.testing.assert_close(alone, together[i], rtol=1e-9, atol=1e-9)


@pytest.mark.processor
def test_digits_of_float32_are_enough(decode, predicted, image):
    double = Decoder(make_tiny_model(rings=40, dtype=torch.float64), decode.camera)
    code = SemanticCode.from_vector(predicted.to_vector().double(), predicted.sizes)
    expected = ColorFit(double)(code, image.double()).to_vector().float()
    torch.testing.assert_close(ColorFit(decode)(predicted, image).to_vector(), expected, rtol=1e-3, atol=1e-3)


def test_faces_beside_the_picture_stay_as_they_are(decode, predicted, image):
    away = predicted.replace(translation=predicted.translation + torch.tensor([[0.0, 0, 0], [900, 0, 0]]))
    found = ColorFit(decode)(away, image).to_vector()
    assert torch.equal(found[1], away.to_vector()[1])
    assert not torch.equal(found[0], away.to_vector()[0])


def test_what_is_no_number_stays_visible(decode, predicted, image):
    broken = predicted.shape.clone()
    broken[1] = torch.nan
    found = ColorFit(decode)(predicted.replace(shape=broken), image)
    assert torch.equal(found.illumination[1], predicted.illumination[1])
    assert found.shape[1].isnan().all()
    assert found.to_vector()[0].isfinite().all()


def test_photographs_of_one_person_have_one_reflectance(decode, true):
    """What is found of two photographs in different lights is nearer to the skin than what each says alone."""
    same = true.replace(
        shape=true.shape[:1].expand(2, -1),
        reflectance=true.reflectance[:1].expand(2, -1),
        rotation=torch.tensor([[0.0, 0.5, 0.0], [0.0, -0.5, 0.0]]),
    )
    with torch.no_grad():
        photos = make_renderer("cpu")(decode(same)).image[:, :3]
    blank = same.replace(reflectance=torch.zeros_like(same.reflectance))
    fit = ColorFit(decode, keep_tone=False)
    alone, together = fit(blank, photos), fit(blank, photos, together=True)
    assert torch.equal(together.reflectance[0], together.reflectance[1])
    assert not torch.equal(together.illumination[0], together.illumination[1])
    away = [(code.reflectance - same.reflectance).norm(dim=1).mean() for code in (alone, together)]
    assert away[1] < 0.9 * away[0]
    single = fit(blank[:1], photos[:1], together=True)
    torch.testing.assert_close(single.reflectance, alone.reflectance[:1], atol=1e-4, rtol=1e-4)


AFTER_SETTING_THREADS = """
import torch
from mofa3d.fitting.color_fit import solve
torch.set_num_threads(2)
for _ in range(20):
    rows = torch.randn(12, 150, 150)
    matrix = rows @ rows.mT + 150 * torch.eye(150)
    found = solve(matrix, torch.ones(12, 150, 1))
    assert float((matrix @ found - 1).abs().max()) < 1e-3
"""


def test_solutions_solve():
    rows = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix, right = rows @ rows.mT + torch.eye(8, dtype=torch.float64), torch.ones(3, 8, 2, dtype=torch.float64)
    torch.testing.assert_close(matrix @ solve(matrix, right), right)
    torch.testing.assert_close(solve(matrix, right), torch.linalg.solve(matrix, right))


def test_what_is_no_number_does_not_spread():
    matrix = torch.eye(4).repeat(2, 1, 1)
    matrix[0, 0, 0] = torch.nan
    found = solve(matrix, torch.ones(2, 4, 1))
    assert found[0].isnan().any()
    assert torch.equal(found[1], torch.ones(4, 1))


def test_threads_do_not_wait_for_each_other():
    """In a process of its own: with LU instead, it never ends on some processors."""
    subprocess.run([sys.executable, "-c", AFTER_SETTING_THREADS], check=True, timeout=120)
