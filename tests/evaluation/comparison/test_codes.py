"""Measuring systems one photograph at a time, images of face models, and the pictures of a comparison."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.codes import compare_codes
from mofa3d.evaluation.comparison.figures import cumulative, draw_distributions, draw_systems
from mofa3d.evaluation.comparison.networks.conv_autoencoder import ConvDecoder
from mofa3d.evaluation.comparison.pixels.evaluate import PixelView
from mofa3d.evaluation.comparison.pixels.systems import compare_pixels, redrawn, rendered, require_size
from mofa3d.evaluation.errors import average_face
from mofa3d.evaluation.estimates import choose, encoder_estimate, fit_estimate, measure
from mofa3d.fitting.gauss_newton import thies
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(20), Camera())


@pytest.fixture(scope="module")
def faces(decode, tmp_path_factory):
    config = SyntheticConfig(count=6, yaw=0.1, pitch=0.05, roll=0.05, shift=2, depth=2)
    return synthesize(config, decode, make_renderer("cpu", antialias=False), tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def true(decode):
    return lambda batch: SemanticCode.from_vector(batch["code"], decode.model.sizes)


def test_true_codes_have_no_error_and_their_time(decode, faces, true):
    def slow(batch):
        time.sleep(0.01)
        return true(batch)

    found = measure(slow, decode, make_renderer("vertex"), faces, [1, 4])
    assert found.errors["landmark"].max() < 0.01
    assert found.errors["geometric"].max() < 0.01
    assert found.errors["photometric"].max() < 0.05
    assert 0.01 <= float(found.errors["seconds"].min()) < 0.5
    torch.testing.assert_close(found.codes, faces.codes[[1, 4]])


def test_fits_come_nearer_than_the_average_face(decode, faces):
    render = make_renderer("vertex")
    average = measure(encoder_estimate(average_face(decode), decode), decode, render, faces, [0, 1])
    fitted = measure(fit_estimate(decode, thies()), decode, render, faces, [0, 1])
    assert float(average.codes.abs().max()) == 0
    assert fitted.errors["landmark"].mean() < 0.3 * average.errors["landmark"].mean()
    assert fitted.errors["photometric"].mean() < 0.5 * average.errors["photometric"].mean()
    without = fit_estimate(decode, thies(), landmarks=False)
    blind = {"image": faces[0]["image"][None], "confidence": torch.zeros(1, 68)}
    assert float(without(blind).to_vector().abs().max()) > 0.1
    with pytest.raises(ValueError, match="the photographs come without landmarks; prepare them"):
        fit_estimate(decode, thies())(blind)


def test_a_system_that_fails_does_not_end_the_comparison(decode, faces, true):
    def missing():
        raise InputError("there is no checkpoint")

    starts = {"broken": missing, "true": lambda: true}
    rows, measured, ready = compare_codes(starts, decode, make_renderer("vertex"), [(faces, [0]), (faces, [1, 2])])
    assert [(row.system, row.images, row.reason) for row in rows[1]] == [
        ("broken", 0, "there is no checkpoint"),
        ("true", 2, ""),
    ]
    assert list(measured[0]) == list(ready) == ["true"]


def test_photographs_are_chosen_evenly_among_those_with_landmarks(faces):
    assert choose(faces, range(6), 3) == [0, 2, 4]
    assert choose(faces, [5, 1], 10) == [5, 1]
    known, faces.confidence = faces.confidence, faces.confidence.clone()
    faces.confidence[[0, 2], 3] = 0
    assert choose(faces, range(6), 10) == [1, 3, 4, 5]
    faces.confidence = torch.zeros_like(known)
    assert choose(faces, range(6), 10) == [0, 1, 2, 3, 4, 5]
    faces.confidence = known
    with pytest.raises(ValueError, match="at least 1 photograph must be compared, got 0"):
        choose(faces, range(6), 0)


def test_pixels_of_the_model_beat_grey_and_repeat_the_detail(decode, faces, true):
    view = PixelView(48, decode(SemanticCode.zeros(sizes=decode.model.sizes)).landmarks[0], 240)
    grey = torch.full((3, 48, 48), 0.5)

    def missing():
        raise InputError("gone")

    starts = {
        "grey": lambda: lambda batch: grey.expand_as(batch["image"]),
        "model": lambda: rendered(true, decode, make_renderer("cpu"), grey),
        "decoder": lambda: redrawn(true, lambda code: grey * (1 + 0 * code.mean()) + torch.zeros(len(code), 1, 1, 1)),
        "broken": missing,
    }
    blank, model, decoder, broken = compare_pixels(starts, faces, [0, 1, 2], view)
    assert model.values["face"] < 0.75 * blank.values["face"]  # the tiny model has no forehead
    assert model.values["crop"] > model.values["face"]  # nothing of the background is known
    assert model.values["detail"] > blank.values["detail"] == 0
    assert decoder.values["face"] == pytest.approx(blank.values["face"])
    assert model.values["seconds"] > 0
    assert broken.reason == "gone"


def test_networks_of_another_size_are_refused():
    require_size(ConvDecoder(32, 5), 32)
    with pytest.raises(ValueError, match="its images have 32 px, but 112 are compared; give --image-size 32"):
        require_size(ConvDecoder(32, 5), 112)


def test_distribution_counts_finite_errors(tmp_path):
    values, share = cumulative(torch.tensor([3.0, float("nan"), 1.0, 2.0, 1.0]))
    assert values.tolist() == [1.0, 1.0, 2.0, 3.0]
    assert share.tolist() == [0.25, 0.5, 0.75, 1.0]
    nothing = torch.full((2,), float("nan"))
    draw_distributions({"a": {"photometric": torch.rand(4), "landmark": nothing}}, tmp_path / "errors.png")
    assert Image.open(tmp_path / "errors.png").size[0] > 1000


def test_sheet_has_a_row_per_photograph_and_a_column_per_system(decode, tmp_path):
    photos, made = torch.full((2, 3, 240, 240), 0.2), torch.full((2, 3, 48, 48), 0.6)
    codes = {"other": make_code(2, decode.model.sizes, dtype=torch.float32).to_vector()}
    codes["zero"] = torch.zeros_like(codes["other"])
    path = tmp_path / "faces.png"
    draw_systems(codes, {"network": made}, photos, decode, make_renderer("cpu"), path)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (2 * (240 + 26), 4 * 240, 3)
    assert sheet[26, 0].tolist() == [51, 51, 51]  # the photograph
    assert sheet[-1, -1].tolist() == [153, 153, 153]  # the network's image
    assert abs(sheet[26 + 120, 240 + 120].astype(int) - 51).max() > 20  # a face over the photograph
