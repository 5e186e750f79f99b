"""The losses of a batch and the errors that are watched beside them."""

from __future__ import annotations

import pytest
import torch
from loop_training import SIZE, SIZES, make_batch
from tiny_model import make_code

from mofa3d import losses, metrics, objective
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.objective import LossWeights
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import SemanticCode


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


class TestComputeLosses:
    def test_values_are_those_of_the_losses_and_metrics(self, decode):
        batch, code = make_batch(decode, 3), make_code(4, SIZES, 7, torch.float32)
        batch["confidence"][0, 30] = 0.25
        weights = LossWeights(landmark=1.0, background_cost=0.1)
        scene = decode(code)
        rendering = VertexRenderer()(scene)
        terms = objective.compute_losses(code, scene, rendering, batch, weights)
        watched = objective.compute_errors(scene, rendering, batch)
        points = (scene.landmarks, batch["landmarks"], batch["confidence"])
        expected = {
            "photometric": losses.photometric(rendering, batch["image"], 0.1),
            "regularizer": losses.regularizer(code),
            "landmark": losses.landmark(*points, SIZE),
        }
        assert terms.keys() == expected.keys()
        for name, value in expected.items():
            assert value.shape == (4,)
            assert torch.equal(terms[name], value), name
        assert torch.equal(watched["photometric_error"], metrics.photometric_error(rendering, batch["image"]))
        assert torch.equal(watched["landmark_error"], metrics.landmark_error(*points))
        assert torch.equal(watched["area_ratio"], metrics.area_ratio(*points))

    def test_a_loss_that_is_off_is_absent(self, decode):
        code = SemanticCode.zeros(4, SIZES)
        scene = decode(code)
        terms = objective.compute_losses(code, scene, VertexRenderer()(scene), make_batch(decode), LossWeights())
        assert set(terms) == {"photometric", "regularizer"}

    def test_watched_errors_carry_no_gradient(self, decode):
        code = make_code(4, SIZES, dtype=torch.float32)
        code = code.replace(shape=code.shape.requires_grad_())
        scene, batch = decode(code), make_batch(decode)
        rendering = VertexRenderer()(scene)
        assert objective.compute_losses(code, scene, rendering, batch, LossWeights())["photometric"].requires_grad
        watched = objective.compute_errors(scene, rendering, batch)
        assert not any(value.requires_grad for value in watched.values())
