"""One shape for all frames, and landmarks that stay where they were."""

from __future__ import annotations

import torch
from tiny_model import make_code, make_tiny_model

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.reconstruction.video import shared_identity as module
from mofa3d.reconstruction.video.shared_identity import shared_identity, with_shape

CAMERA = Camera(240)


def test_identity_is_a_median():
    codes = make_code(7)
    wild = codes.replace(shape=codes.shape.clone(), reflectance=codes.reflectance.clone())
    wild.shape[:2], wild.reflectance[:2] = 1e3, -1e3
    for name, value in zip(("shape", "reflectance"), shared_identity(wild), strict=True):
        kept = getattr(codes, name)[2:]
        assert ((kept.amin(0) <= value) & (value <= kept.amax(0))).all()
    assert torch.equal(shared_identity(codes)[0], codes.shape.median(dim=0).values)


def test_landmarks_come_back(monkeypatch):
    """Three in four pixels of what the exchange moves are made good by pose and expression."""
    monkeypatch.setattr(module, "CHUNK", 2)  # in parts, which must not matter
    model = make_tiny_model(dtype=torch.float64)
    codes = make_code(5)
    shape = shared_identity(codes)[0]
    fitted = with_shape(codes, shape, model, CAMERA)
    decode = Decoder(model, CAMERA)
    before = decode(codes).landmarks
    exchanged = decode(codes.replace(shape=shape.expand_as(codes.shape))).landmarks
    assert torch.equal(fitted.shape, shape.expand_as(codes.shape))
    assert float((exchanged - before).norm(dim=-1).mean()) > 1
    assert float((decode(fitted).landmarks - before).norm(dim=-1).mean()) < 0.6 * float(
        (exchanged - before).norm(dim=-1).mean()
    )
    for name in ("reflectance", "illumination"):
        assert torch.equal(getattr(fitted, name), getattr(codes, name))


def test_energy_is_at_its_minimum():
    """No small change of pose or expression lowers the energy: the derivatives are right."""
    model = make_tiny_model(dtype=torch.float64)
    codes = make_code(1)
    shape = 0.5 * codes.shape[0]
    fitted = with_shape(codes, shape, model, CAMERA)
    decode = Decoder(model, CAMERA, fused=False)
    target = decode(codes).landmarks
    blocks = [getattr(fitted, name).clone().requires_grad_() for name in ("rotation", "translation", "expression")]
    moved = fitted.replace(rotation=blocks[0], translation=blocks[1], expression=blocks[2])
    energy = (decode(moved).landmarks - target).square().sum()
    energy = energy + module.EXPRESSION_WEIGHT * (moved.expression - codes.expression).square().sum()
    start = fitted.replace(rotation=codes.rotation, translation=codes.translation, expression=codes.expression)
    before = torch.autograd.grad(
        (decode(probe := start.replace(rotation=codes.rotation.clone().requires_grad_())).landmarks - target)
        .square()
        .sum(),
        probe.rotation,
    )[0]
    gradients = torch.autograd.grad(energy, blocks)
    assert float(gradients[0].norm()) < 1e-3 * float(before.norm())
    assert float(gradients[1].norm()) < 0.05
    assert float(gradients[2].norm()) < 0.05


def test_own_shape_changes_nothing():
    model = make_tiny_model(dtype=torch.float64)
    codes = make_code(1)
    fitted = with_shape(codes, codes.shape[0], model, CAMERA)
    torch.testing.assert_close(fitted.to_vector(), codes.to_vector(), atol=1e-8, rtol=0)
