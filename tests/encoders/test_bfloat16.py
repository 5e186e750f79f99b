"""Encoders in bfloat16 give nearly the codes of float32, and the layers exactly those of PyTorch's bfloat16."""

from __future__ import annotations

import pytest
import torch
from lively_encoders import images, lively
from torch import nn

from mofa3d.encoders import bfloat16
from mofa3d.encoders.bfloat16 import HalfConvolution, HalfLinear, in_bfloat16
from mofa3d.environment.instruction_sets import multiplies_bfloat16

pytestmark = pytest.mark.processor

needs_bfloat16 = pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor has no native bfloat16")


@pytest.mark.parametrize("count", [1, 3])
def test_linear_layers_round_weights_only(count):
    torch.manual_seed(0)
    layer, value = nn.Linear(300, 40), torch.rand(count, 300).bfloat16()
    expected = value.double() @ layer.weight.detach().bfloat16().double().T + layer.bias.detach().bfloat16().double()
    found = HalfLinear(layer)(value)
    assert found.shape == (count, 40)
    assert found.dtype == torch.bfloat16
    # Sums are float32's: only the result is rounded once more.
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-3)


@needs_bfloat16
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 3}, {"bias": False}, {"dilation": 2, "padding": 1}])
def test_convolutions_are_pytorchs(options):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 16, 3, **options)
    value = torch.rand(2, 4, 20, 24).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = HalfConvolution(layer)(value)
        expected = layer.to(torch.bfloat16)(value)
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=2**-7)


def test_processors_that_do_not_multiply_bfloat16_compute_the_same_codes(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("bf16 path needs the cpu support avx_ne_convert or avx512bw, avx512vl and avx512dq")

    encoder, image = lively("alexnet"), images(64, 2)
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", refuse)
    with torch.inference_mode():
        expected, found = encoder(image), in_bfloat16(encoder, 64)(image)
    assert 1e-4 < float((found - expected).norm() / expected.norm()) < 0.03


@needs_bfloat16
@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", "resnet50"])
def test_codes_are_as_near_as_autocast_comes(name):
    encoder, image = lively(name), images(96, 12)  # of a few, one or the other way of rounding may be lucky
    half = in_bfloat16(encoder, 96)
    with torch.inference_mode():
        expected, found, single = encoder(image), half(image), half(image[:1])
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder(image)
    assert found.dtype == torch.float32
    limit = float((rough - expected).norm())
    assert 0 < float((found - expected).norm()) < 1.5 * limit
    assert float((single - found[:1]).norm()) < 1.5 * limit / 2  # as if of three images
    assert limit < 0.5 * float(expected.norm())
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}


@needs_bfloat16
def test_last_layer_keeps_all_digits():
    encoder, image = lively("alexnet"), images(96, 1)
    half = in_bfloat16(encoder, 96)
    heads = [layer for layer in half.modules() if isinstance(layer, nn.Linear)]
    assert [layer.weight.dtype for layer in heads] == [torch.float32]
    with torch.inference_mode():
        code = half(image)
    assert not torch.equal(code, code.bfloat16().float())
