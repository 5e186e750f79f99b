"""With the default model, refining lays the geometry on dense points, and fits colors to the photograph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_corpus import make_dense_corpus

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.face_landmarker import DenseLandmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.decoder import Decoder
from mofa3d.fitting.gauss_newton import thies
from mofa3d.reconstruction.reconstructor import FaceCrop
from mofa3d.reconstruction.refine import Refiner
from mofa3d.semantic_code import SemanticCode


@pytest.fixture(scope="module")
def true(default_model) -> SemanticCode:
    random = torch.Generator().manual_seed(0)
    return SemanticCode.zeros(1, default_model.sizes).replace(
        shape=torch.randn(1, 80, generator=random), rotation=torch.tensor([[0.05, 0.3, 0.0]])
    )


@pytest.fixture(scope="module")
def crop(tmp_path_factory, default_model, true) -> FaceCrop:
    corpus = make_dense_corpus(tmp_path_factory.mktemp("refine") / "corpus", default_model, ["a_0001.jpg"], true)
    points = np.array(corpus.face(0).dense, dtype=np.float32)
    dense = DenseLandmarks(points, 1.0, np.zeros(52, np.float32))
    box = FoundFace.of_box(120.0, 120.0, 180.0, 1.0)
    image = corpus[0]["image"]
    photo = (255 * image.permute(1, 2, 0)).round().to(torch.uint8).numpy()
    return FaceCrop(photo, box, image, CropTransform(0.0, 0.0, 1.0, 0.0), dense)


def test_geometry_comes_nearer_to_the_face_and_colors_to_the_photograph(default_model, crop, true):
    decode = Decoder(default_model, Camera(240))
    start = SemanticCode.zeros(1, default_model.sizes)
    found = Refiner(decode)(start, crop)

    def away(code: SemanticCode) -> float:
        apart = default_model.geometry(code.shape, code.expression) - default_model.geometry(
            true.shape, true.expression
        )
        return float(apart[0, default_model.frontal].norm(dim=1).mean())

    assert away(found) < 0.7 * away(start)
    assert float((decode(found).landmarks - decode(true).landmarks).norm(dim=2).mean()) < 1.5
    assert not torch.equal(found.illumination, start.illumination)


def test_the_geometry_of_the_prediction_plays_no_part(default_model, crop, true):
    decode = Decoder(default_model, Camera(240))
    found, other = (Refiner(decode)(code, crop) for code in (true, SemanticCode.zeros(1, default_model.sizes)))
    assert torch.equal(found.shape, other.shape)
    assert torch.equal(found.rotation, other.rotation)


def test_a_configuration_asks_for_gauss_newton(default_model, crop):
    decode = Decoder(default_model, Camera(240))
    refiner = Refiner(decode, thies(levels=()))
    start = SemanticCode.zeros(1, default_model.sizes)
    assert torch.equal(refiner(start, crop).to_vector(), start.to_vector())
