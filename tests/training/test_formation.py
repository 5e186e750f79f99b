"""How a training forms images follows from what its renderer offers, not from the renderer's name."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_code

from mofa3d.camera import Camera
from mofa3d.kernels.vertex_loss.base import OffersFusedLoss
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.losses import photometric
from mofa3d.renderers import make_renderer
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.scene import Rendering, Scene
from mofa3d.training.mofa import make_formation

CAMERA = Camera(48)


@pytest.mark.parametrize("cost", [0.0, 0.14])
def test_vertices_are_compared_by_a_fused_loss_with_the_numbers_of_decoder_and_renderer(tiny_model, cost):
    formation = make_formation(make_renderer("vertex"), tiny_model, CAMERA, "cpu", cost)
    assert formation.render == VertexRenderer(area_weights=bool(cost))
    assert isinstance(formation.fused, FusedVertexLoss)
    assert len(formation.decode.model.mean_shape) < len(tiny_model.mean_shape)
    code, image = make_code(2, dtype=torch.float32), torch.rand(2, 3, 48, 48)
    expected = photometric(formation.render(formation.decode(code)), image, cost)
    torch.testing.assert_close(formation.fused(code, image, cost).photometric, expected, atol=1e-5, rtol=1e-4)


def test_any_other_renderer_is_given_the_whole_face(tiny_model):
    def render(scene: Scene) -> Rendering:
        return VertexRenderer()(scene)

    formation = make_formation(render, tiny_model, CAMERA, "cpu", 0.14)
    assert formation.render is render
    assert formation.fused is None
    assert len(formation.decode.model.mean_shape) == len(tiny_model.mean_shape)


def test_raster_backends_offer_no_fused_loss():
    assert isinstance(make_renderer("vertex"), OffersFusedLoss)
    assert not isinstance(make_renderer("cpu"), OffersFusedLoss)


def test_a_renderer_of_a_users_own_may_offer_one(tiny_model):
    class Own(VertexRenderer):
        def fused_loss(self, model, camera, device):
            return FusedVertexLoss(model, camera, self.area_weights)

    formation = make_formation(Own(), tiny_model, CAMERA, "cpu", 0.1)
    assert isinstance(formation.render, Own)
    assert formation.fused.area_weights
