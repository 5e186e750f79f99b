"""A flattened encoder computes the same codes with fewer layers."""

from __future__ import annotations

import copy

import pytest
import torch
from lively_encoders import images, lively, liven
from torch import nn

from mofa3d.encoders.graph import flatten_encoder, resizing_matrix
from mofa3d.encoders.network import Encoder

NORMS = (nn.BatchNorm2d, nn.Dropout, nn.Identity)


@pytest.mark.parametrize(
    ("name", "input_size", "size"),
    [("alexnet", None, 64), ("mobilenet_v2", 56, 120), ("resnet50", None, 64)],
)
def test_same_codes(name, input_size, size):
    encoder, image = copy.deepcopy(lively(name, input_size)).double(), images(size).double()
    flat = flatten_encoder(encoder, size)
    with torch.no_grad():
        torch.testing.assert_close(flat(image), encoder(image), atol=1e-9, rtol=1e-9)
    assert not any(isinstance(layer, NORMS) for layer in flat.modules())


def test_encoder_stays_as_it_was():
    encoder = copy.deepcopy(lively("mobilenet_v2", 32))
    before = copy.deepcopy(encoder)
    flatten_encoder(encoder, 64)
    image = images(64)
    with torch.no_grad():
        assert torch.equal(encoder(image), before(image))
    assert [name for name, _ in encoder.named_modules()] == [name for name, _ in before.named_modules()]
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_large_layers_are_shared():
    encoder = lively("alexnet")
    flat = flatten_encoder(encoder, 64)
    weights = {id(value) for value in flat.parameters()}
    assert id(encoder.backbone.classifier[1].weight) in weights


def test_norm_without_a_convolution_before_it_stays():
    backbone = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    encoder, image = liven(Encoder(backbone, 3)), images(8)
    flat = flatten_encoder(encoder, 8)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in flat.modules()) == 1
    with torch.no_grad():
        torch.testing.assert_close(flat(image), encoder(image))


def test_convolution_whose_result_is_used_twice_keeps_its_norm():
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            value = self.convolution(image)
            return (value + self.norm(value)).mean(dim=(2, 3))

    encoder, image = liven(Encoder(Branching(), 4)), images(8)
    with torch.no_grad():
        torch.testing.assert_close(flatten_encoder(encoder, 8)(image), encoder(image))


@pytest.mark.parametrize(("old", "new"), [(240, 112), (60, 100), (7, 7)])
def test_matrix_resizes_as_the_encoder_does(old, new):
    image, matrix = images(old).double(), resizing_matrix(old, new)
    expected = nn.functional.interpolate(image, (new, new), mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(matrix @ image @ matrix.T, expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(new, dtype=torch.float64))
