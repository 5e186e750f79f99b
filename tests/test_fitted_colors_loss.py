"""The loss with fitted colors moves geometry alone, as if those colors were the encoder's."""

from __future__ import annotations

import json
from itertools import repeat

import pytest
import torch
from tiny_model import make_code, make_tiny_model
from torch import nn

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.encoders.network import Encoder
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.objective import Batch, LossWeights, evaluate_batch
from mofa3d.renderers import make_renderer
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.training.mofa import TrainingConfig, train

pytestmark = pytest.mark.usefixtures("colors_of_few_vertices")

SIZE, COST = 96, 0.1
WEIGHTS = LossWeights(fitted_photometric=1.0, background_cost=COST)


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(rings=40), Camera(SIZE))


@pytest.fixture(scope="module")
def batch(decode) -> Batch:
    with torch.no_grad():
        image = make_renderer("cpu")(decode(make_code(2, seed=5, dtype=torch.float32))).image[:, :3]
    return {"image": image, "landmarks": torch.zeros(2, 68, 2), "confidence": torch.zeros(2, 68)}


def gradients(decode: Decoder, batch: Batch, fused: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss with fitted colors, and its gradient by the code."""
    sizes = decode.model.sizes
    vector = make_code(2, seed=0, dtype=torch.float32).to_vector().requires_grad_()
    loss = FusedVertexLoss(decode.model, decode.camera, area_weights=True) if fused else None
    terms, _ = evaluate_batch(
        SemanticCode.from_vector(vector, sizes), batch, WEIGHTS, decode, VertexRenderer(True), loss, ColorFit(decode)
    )
    (gradient,) = torch.autograd.grad(terms["fitted_photometric"].sum(), vector)
    return terms["fitted_photometric"].detach(), gradient


def test_it_is_the_loss_of_the_code_with_fitted_colors(decode, batch):
    code = make_code(2, seed=0, dtype=torch.float32)
    fitted = ColorFit(decode)(code, batch["image"])
    own = losses.photometric(VertexRenderer(True)(decode(code)), batch["image"], COST)
    expected = losses.photometric(VertexRenderer(True)(decode(fitted)), batch["image"], COST)
    value, _ = gradients(decode, batch, fused=False)
    torch.testing.assert_close(value, expected)
    assert (value < own - 0.01).all()


def test_the_encoders_colors_have_no_say(decode, batch):
    _, gradient = gradients(decode, batch, fused=False)
    slices = decode.model.sizes.slices
    assert not gradient[:, slices["reflectance"]].any()
    assert not gradient[:, slices["illumination"]].any()
    for block in ("shape", "expression", "rotation", "translation"):
        assert (gradient[:, slices[block]].norm(dim=1) > 1e-5).all()


def test_the_fused_loss_says_the_same(decode, batch):
    value, gradient = gradients(decode, batch, fused=False)
    fused_value, fused_gradient = gradients(decode, batch, fused=True)
    torch.testing.assert_close(fused_value, value, rtol=1e-4, atol=1e-6)
    assert (fused_gradient - gradient).norm() < 1e-3 * gradient.norm()


def test_rendered_images_have_it_too(decode, batch):
    code, render = make_code(2, seed=0, dtype=torch.float32), make_renderer("cpu")
    terms, _ = evaluate_batch(code, batch, WEIGHTS, decode, render, fit_colors=ColorFit(decode))
    fitted = ColorFit(decode)(code, batch["image"])
    expected = losses.photometric(render(decode(fitted)), batch["image"], COST)
    torch.testing.assert_close(terms["fitted_photometric"], expected)
    assert (expected < terms["photometric"]).all()


def test_without_anything_to_fit_colors_with(decode, batch):
    with pytest.raises(ValueError, match=r"give fit_colors=ColorFit\(decode\)"):
        evaluate_batch(make_code(2, dtype=torch.float32), batch, WEIGHTS, decode, VertexRenderer())


def test_a_training_leaves_it_out_while_geometry_stays(decode, batch, tmp_path):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
    config = TrainingConfig(iterations=4, optimizer="adam", freeze_geometry=2, log_every=1, loss=WEIGHTS)
    encoder = Encoder(backbone, 48, decode.model.sizes)
    train(encoder, decode, VertexRenderer(True), lambda _: repeat(batch), config, tmp_path, {})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert ["fitted_photometric" in line for line in lines] == [False, False, True, True]
    for line in lines:
        terms = {"photometric": 1.92, "regularizer": 2.9e-5, "fitted_photometric": 1.0}
        expected = sum(weight * line.get(name, 0.0) for name, weight in terms.items())
        assert line["loss"] == pytest.approx(expected, rel=1e-5)


def test_it_is_off_by_default(decode, batch):
    code = make_code(2, seed=0, dtype=torch.float32)
    terms, _ = evaluate_batch(code, batch, LossWeights(), decode, VertexRenderer())
    assert terms.keys() == {"photometric", "regularizer"}
