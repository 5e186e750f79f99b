"""A refined code fits its crop better; which points keep it in place depends on what is installed and asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.face_landmarker import DenseLandmarks
from mofa3d.data.found_face import FoundFace
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
    face = FoundFace.of_box(SIZE / 2, SIZE / 2, float(SIZE), 0.9)
    return FaceCrop(photo, face, pixels, CropTransform(0.0, 0.0, 1.0))


def error(decode: Decoder, code: SemanticCode, crop: FaceCrop) -> float:
    with torch.no_grad():
        return float(losses.photometric(make_renderer("vertex")(decode(code)), crop.pixels[None]))


def moved(decode: Decoder, code: SemanticCode, other: SemanticCode) -> float:
    """Mean distance of the landmarks of two codes, pixels."""
    return float((decode(code).landmarks - decode(other).landmarks).norm(dim=-1).mean())


def test_colors_fit_better_and_without_points_the_given_ones_hold(decode, crop):
    start = SemanticCode.zeros(sizes=decode.model.sizes)
    kept = Refiner(decode)(start, crop)
    free = Refiner(decode, landmarks=False)(start, crop)
    assert error(decode, kept, crop) < 0.7 * error(decode, start, crop)
    assert error(decode, free, crop) < 0.7 * error(decode, start, crop)
    assert moved(decode, kept, start) < 0.5 * moved(decode, free, start)


def test_detected_points_lead_where_they_are(decode, crop, true, monkeypatch):
    points = decode(true).landmarks[0].detach().numpy()
    dense = DenseLandmarks(np.zeros((478, 3), np.float32), 1.0, np.zeros(52, np.float32))
    monkeypatch.setattr(refine, "to_68", lambda dense: points)
    start = SemanticCode.zeros(sizes=decode.model.sizes)
    found = Refiner(decode)(start, crop._replace(dense=dense))
    assert moved(decode, found, true) < 0.3 * moved(decode, start, true)


def test_threads_are_given_back(decode, crop):
    before = torch.get_num_threads()
    Refiner(decode, landmarks=False)(SemanticCode.zeros(sizes=decode.model.sizes), crop)
    assert torch.get_num_threads() == before
