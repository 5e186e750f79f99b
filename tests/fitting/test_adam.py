"""Fitting finds the code behind a rendered photograph."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.fitting.adam import FitConfig, fit_codes
from mofa3d.objective import LossWeights
from mofa3d.renderers import make_renderer

SIZE = 64


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(24), Camera(SIZE))


def photographs(decode, code):
    with torch.no_grad():
        scene = decode(code)
        image = make_renderer("cpu")(scene).image[:, :3]
    return {"image": image, "landmarks": scene.landmarks, "confidence": torch.ones(len(code), 68)}


def displaced(code):
    generator = torch.Generator().manual_seed(1)
    vector = code.to_vector()
    scales = FitConfig().scales.vector(code.sizes)
    return SemanticCode.from_vector(vector + 0.7 * scales * torch.randn(vector.shape, generator=generator), code.sizes)


def test_a_displaced_code_comes_back(decode):
    truth = make_code(2, dtype=torch.float32)
    batch, start, render = photographs(decode, truth), displaced(truth), make_renderer("vertex")
    found = fit_codes(start, batch, decode, render, FitConfig(steps=80, loss=LossWeights(landmark=2.0)))

    def errors(code):
        scene = decode(code)
        off = (scene.landmarks - batch["landmarks"]).norm(dim=-1).mean()
        return float(losses.photometric(render(scene), batch["image"]).mean()), float(off)

    (photo_before, off_before), (photo, off) = errors(start), errors(found)
    assert off_before > 1
    assert off < 0.3 * off_before
    assert photo < 0.5 * photo_before
    assert (found.rotation - truth.rotation).norm() < 0.5 * (start.rotation - truth.rotation).norm()


def test_each_photograph_is_fitted_by_itself(decode):
    truth = make_code(2, dtype=torch.float32)
    batch, start, render = photographs(decode, truth), displaced(truth), make_renderer("vertex")
    both = fit_codes(start, batch, decode, render, FitConfig(steps=5))
    alone = fit_codes(start[1:], {name: value[1:] for name, value in batch.items()}, decode, render, FitConfig(steps=5))
    torch.testing.assert_close(both[1:].to_vector(), alone.to_vector(), atol=1e-4, rtol=1e-4)


def test_weights_decide(decode):
    truth = make_code(1, dtype=torch.float32)
    batch, start, render = photographs(decode, truth), displaced(truth), make_renderer("vertex")
    heavy = replace(FitConfig().loss, regularizer=10.0)
    held = fit_codes(start, batch, decode, render, FitConfig(steps=60, loss=heavy))
    free = fit_codes(start, batch, decode, render, FitConfig(steps=60))
    assert held.shape.norm() < 0.7 * free.shape.norm()


def test_codes_and_photographs_must_match(decode):
    batch = photographs(decode, make_code(2, dtype=torch.float32))
    with pytest.raises(ValueError, match="3 codes cannot fit 2 photographs"):
        fit_codes(make_code(3, dtype=torch.float32), batch, decode, make_renderer("vertex"))
