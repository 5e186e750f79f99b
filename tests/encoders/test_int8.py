"""Linear layers of bytes multiply what they hold, which is what they were made of within half a step."""

from __future__ import annotations

import copy

import pytest
import torch
from lively_encoders import images, lively
from torch import Tensor, nn

from mofa3d.encoders import int8
from mofa3d.encoders.bfloat16 import in_bfloat16
from mofa3d.encoders.int8 import FEW, Int8Linear
from mofa3d.environment.instruction_sets import multiplies_bfloat16

pytestmark = pytest.mark.processor


def held(layer: Int8Linear) -> Tensor:
    """The weights that its bytes stand for, in float64, with columns of zeros that fill its rows up."""
    return layer.scale.double()[:, None] * layer.steps.double()


def layer_with(rows: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight, layer.bias = nn.Parameter(torch.tensor(rows)), nn.Parameter(torch.tensor(bias))
    return layer


@pytest.mark.parametrize("count", [1, 3, FEW, FEW + 1])
@pytest.mark.parametrize("sizes", [(300, 40), (1024, 600), (7, 1)])
def test_products_are_those_of_the_weights_it_holds(count, sizes):
    torch.manual_seed(0)
    plain = nn.Linear(*sizes)
    layer, value = Int8Linear(plain), torch.rand(count, sizes[0]).bfloat16()
    expected = value.double() @ held(layer)[:, : sizes[0]].T + layer.bias.double()
    found = layer(value)
    assert found.shape == (count, sizes[1])
    assert found.dtype == torch.bfloat16
    # The product is rounded, and the sum with the bias once more.
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=2**-8 * float(expected.abs().max()))
    assert plain.weight.dtype == torch.float32


def test_weights_are_within_half_a_step_of_each_row():
    torch.manual_seed(0)
    plain = nn.Linear(500, 200)
    with torch.no_grad():
        plain.weight *= torch.logspace(-6, 3, 200)[:, None]  # each row has its own step
    layer = Int8Linear(plain)
    steps = (held(layer)[:, :500] - plain.weight.detach().double()).abs() / layer.scale.double()[:, None]
    assert 0.49 < float(steps.max()) < 0.5 + 1e-5
    assert int(layer.steps.abs().amax(1).min()) >= 126
    assert int(layer.steps.min()) >= -127


@pytest.mark.parametrize("count", [1, FEW + 1])
def test_few_numbers(count):
    layer = Int8Linear(layer_with([[127.0, -63.6], [0.0, 0.0], [-2.54, 0.025]], [0.5, -3.0, 0.0]))
    assert layer.steps[:, :2].tolist() == [[127, -64], [0, 0], [-127, 1]]
    assert not layer.steps[:, 2:].any()
    found = layer(torch.tensor([[1.0, 2.0]] * count).bfloat16())
    torch.testing.assert_close(found[-1].float(), torch.tensor([-0.5, -3.0, -2.5]), rtol=2**-8, atol=0)


def test_batches_are_single_images(monkeypatch):
    torch.manual_seed(0)
    layer, value = Int8Linear(nn.Linear(900, 70)), torch.rand(5, 900).bfloat16()
    single = torch.cat([layer(row[None]) for row in value])
    few = layer(value)
    monkeypatch.setattr(int8, "FEW", 0)
    monkeypatch.setattr(int8, "ROWS", 32)  # of which 70 are no multiple
    for found in (few, layer(value)):
        torch.testing.assert_close(found, single, rtol=2**-7, atol=2**-8)


@pytest.mark.parametrize("start", [0, 1, 3, 16])
def test_values_may_be_part_of_a_tensor(start):
    torch.manual_seed(0)
    layer, values = Int8Linear(nn.Linear(64, 12)), torch.rand(4, 100).bfloat16()
    part = values[1:, start : start + 64]
    assert torch.equal(layer(part), layer(part.clone(memory_format=torch.contiguous_format)))


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize("name", ["alexnet", "vgg_face"])
def test_codes_are_nearly_those_of_float32(name):
    encoder, image = copy.deepcopy(lively(name)), images(96, FEW + 1)
    for head in (encoder.head, encoder.depth_head):
        nn.init.zeros_(head.bias)  # which is most of the codes
    rough = in_bfloat16(encoder, 96, Int8Linear)
    with torch.inference_mode():
        expected, found, single = encoder(image), rough(image), rough(image[:1])
    size = expected.norm(dim=1)
    assert found.dtype == torch.float32
    assert 1e-3 < float(((found - expected).norm(dim=1) / size).max()) < 0.02
    # The last products of many images are rounded otherwise than those of one.
    assert float((single - found[:1]).norm() / size[0]) < 0.01
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}
