"""A refined code fits its crop better; which points keep it in place depends on what is installed and asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.data.crop import CropTransform
from mofa3d.data.detect import FaceBox
from mofa3d.data.dlib_landmarks import Detection
from mofa3d.reconstruction import refine
from mofa3d.reconstruction.reconstructor import FaceCrop
from mofa3d.reconstruction.refine import Refiner
from mofa3d.renderers import make_renderer

SIZE = 64


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


@pytest.fixture
def true(decode) -> SemanticCode:
    code = SemanticCode.zeros(sizes=decode.model.sizes)
    return code.replace(illumination=code.illumination + 0.2, translation=code.translation + 2.0)


@pytest.fixture
def crop(decode, true) -> FaceCrop:
    with torch.no_grad():
        pixels = make_renderer("cpu")(decode(true)).image[0, :3]
    photo = (255 * pixels.permute(1, 2, 0)).round().byte().numpy()
    return FaceCrop(photo, FaceBox(SIZE / 2, SIZE / 2, float(SIZE), 9), pixels, CropTransform(0.0, 0.0, 1.0))


def error(decode: Decoder, code: SemanticCode, crop: FaceCrop) -> float:
    with torch.no_grad():
        return float(losses.photometric(make_renderer("vertex")(decode(code)), crop.pixels[None]))


def moved(decode: Decoder, code: SemanticCode, other: SemanticCode) -> float:
    """Mean distance of the landmarks of two codes, pixels."""
    return float((decode(code).landmarks - decode(other).landmarks).norm(dim=-1).mean())


def test_colors_fit_better_and_the_given_points_hold(decode, crop, monkeypatch):
    monkeypatch.setattr(refine, "is_installed", lambda: False)
    start = SemanticCode.zeros(sizes=decode.model.sizes)
    kept = Refiner(decode)(start, crop)
    free = Refiner(decode, landmarks=False)(start, crop)
    assert error(decode, kept, crop) < 0.7 * error(decode, start, crop)
    assert error(decode, free, crop) < 0.7 * error(decode, start, crop)
    assert moved(decode, kept, start) < 0.5 * moved(decode, free, start)


def test_detected_points_lead_where_they_are(decode, crop, true, monkeypatch):
    points = decode(true).landmarks[0].detach().numpy()
    seen = []

    def detect(photo, box):
        seen.append(box)
        return Detection(points, np.ones(68, dtype=np.float32), 1.0)

    monkeypatch.setattr(refine, "is_installed", lambda: True)
    monkeypatch.setattr("mofa3d.reconstruction.refine.detect_landmarks", detect)
    start = SemanticCode.zeros(sizes=decode.model.sizes)
    found = Refiner(decode)(start, crop)
    assert seen == [crop.box]
    assert moved(decode, found, true) < 0.3 * moved(decode, start, true)


def test_threads_are_given_back(decode, crop):
    before = torch.get_num_threads()
    Refiner(decode, landmarks=False)(SemanticCode.zeros(sizes=decode.model.sizes), crop)
    assert torch.get_num_threads() == before
