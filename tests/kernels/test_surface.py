"""The fused path gives the numbers and derivatives of the plain one."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.decoder import see_plainly
from mofa3d.kernels.normals import VertexNormals
from mofa3d.kernels.surface import see
from mofa3d.scene import Surface, Surroundings

pytestmark = pytest.mark.processor

CAMERA = Camera(64)


def make_inputs(dtype: torch.dtype, batch: int = 3) -> list[torch.Tensor]:
    """Vertices, reflectance, rotation, translation and light of strongly turned faces, as leaves."""
    model, code = make_tiny_model(dtype=dtype), make_code(batch, dtype=dtype)
    geometry, reflectance = model.geometry(code.shape, code.expression), model.reflectance(code.reflectance)
    parts = (geometry, reflectance, 2 * code.rotation, code.translation, code.illumination)
    return [part.detach().requires_grad_() for part in parts]


def both(inputs: list[torch.Tensor], faces: torch.Tensor) -> tuple[Surface, Surface]:
    around = Surroundings(*inputs[2:])
    plain = see_plainly(*inputs[:2], around, VertexNormals(faces, inputs[0].shape[1]), CAMERA)
    return see(*inputs[:2], around, faces, CAMERA), plain


@pytest.fixture
def faces() -> torch.Tensor:
    return make_tiny_model().faces


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_numbers_are_those_of_the_plain_path(faces, dtype, tolerance):
    fused, plain = both(make_inputs(dtype), faces)
    assert 0.1 < plain.front_facing.double().mean() < 0.95
    for name, value in fused._asdict().items():
        expected = getattr(plain, name)
        assert value.dtype == expected.dtype, name
        torch.testing.assert_close(value, expected, atol=tolerance, rtol=0, msg=name)


@pytest.mark.parametrize(
    "outputs", [("positions",), ("normals",), ("pixels",), ("colors",), ("positions", "normals", "pixels", "colors")]
)
def test_gradients_are_those_of_the_plain_path(faces, outputs):
    inputs = make_inputs(torch.float64)
    gradients = []
    for surface in both(inputs, faces):
        generator = torch.Generator().manual_seed(1)
        values = [getattr(surface, name) for name in outputs]
        weights = [torch.randn(value.shape, generator=generator, dtype=torch.float64) for value in values]
        total = sum((value * weight).sum() for value, weight in zip(values, weights, strict=True))
        gradients.append(torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True))
    for fused, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, plain, atol=1e-10, rtol=1e-9)


def test_gradients_equal_differences(faces):
    inputs = make_inputs(torch.float64, batch=1)

    def outputs(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return see(*values[:2], Surroundings(*values[2:]), faces, CAMERA)[:4]

    torch.autograd.gradcheck(outputs, inputs, eps=1e-5, atol=1e-4, fast_mode=True)


def test_vertices_without_area_have_no_normal_and_finite_gradients(faces):
    inputs = make_inputs(torch.float64)
    with torch.no_grad():
        inputs[0][1] = inputs[0][1, :1]  # all of the second face in one point
    fused, plain = both(inputs, faces)
    assert not fused.normals[1].any()
    torch.testing.assert_close(fused.colors, plain.colors)
    fused.colors.sum().backward()
    assert all(value.grad.isfinite().all() for value in inputs)


def test_nan_comes_through(faces):
    inputs = make_inputs(torch.float32)
    with torch.no_grad():
        inputs[4][0, 0, 1] = float("nan")
    colors = both(inputs, faces)[0].colors
    assert colors[0, :, 1].isnan().all()
    assert not colors[1:].isnan().any()


def test_gradients_of_the_outputs_stay_as_they_are(faces):
    inputs = make_inputs(torch.float64)
    surface = see(*inputs[:2], Surroundings(*inputs[2:]), faces, CAMERA)
    given = torch.ones_like(surface.positions)
    surface.positions.backward(given)
    assert torch.equal(given, torch.ones_like(given))


def test_number_of_threads_does_not_matter(faces, monkeypatch):
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        inputs = make_inputs(torch.float32)
        surface = see(*inputs[:2], Surroundings(*inputs[2:]), faces, CAMERA)
        (surface.colors.sum() + surface.pixels.square().sum()).backward()
        results.append([*surface, *(value.grad for value in inputs)])
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


def test_no_faces_at_all(faces):
    inputs = [value[:0] for value in make_inputs(torch.float32)]
    surface = see(*inputs[:2], Surroundings(*inputs[2:]), faces, CAMERA)
    assert surface.colors.shape == (0, 144, 3)


def test_only_the_plain_decoder_is_differentiable_twice(tiny_model_double):
    code = make_code(1)
    light = code.illumination.clone().requires_grad_()
    for fused in (False, True):
        decode = Decoder(tiny_model_double, CAMERA, fused=fused)
        energy = decode(code.replace(illumination=light)).colors.square().sum()
        (gradient,) = torch.autograd.grad(energy, light, create_graph=True)
        if fused:
            with pytest.raises(RuntimeError, match="once_differentiable"):
                gradient.sum().backward()
        else:
            gradient.sum().backward()
            assert light.grad.abs().max() > 0
