"""The pixel networks have the paper's layers, and learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mofa3d.evaluation.comparison.networks.conv_autoencoder import (
    CODE_SIZE,
    ConvAutoencoder,
    ConvDecoder,
    ConvEncoder,
    LearnedDecoder,
)


def layers(network: nn.Module, kind: type) -> list[tuple]:
    found = [layer for layer in network.modules() if type(layer) is kind]
    return [(layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in found]


def test_layers_are_the_papers():
    network = ConvAutoencoder(16)
    assert layers(network, nn.Conv2d) == [(3, 64, 3, 2), (64, 96, 3, 2), (96, 128, 3, 2), (128, 256, 3, 2)]
    assert layers(network, nn.ConvTranspose2d) == [(256, 128, 4, 2), (128, 96, 4, 2), (96, 64, 4, 2), (64, 3, 4, 2)]
    linear = [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert linear == [(256, 257), (257, 256)]
    # Counted by hand: convolutions 463,072, deconvolutions 822,563, the two linear layers 132,097.
    assert sum(p.numel() for p in network.parameters()) == 463_072 + 822_563 + 132_097


@pytest.mark.parametrize("size", [16, 48])
def test_sizes(size):
    image = torch.rand(2, 3, size, size)
    code = ConvEncoder(size)(image)
    assert code.shape == (2, CODE_SIZE)
    made = ConvDecoder(size)(code)
    assert made.shape == image.shape
    assert 0 < float(made.detach().min()) < float(made.detach().max()) < 1


def test_what_flows_through_keeps_its_spread():
    torch.manual_seed(0)
    network = ConvAutoencoder(64)
    features = network.encoder.layers(torch.randn(4, 3, 64, 64))
    assert 0.3 < float(features.detach().square().mean()) < 3
    coarse = torch.randn(4, 256, 4, 4).relu()
    assert 0.1 < float(network.decoder.layers[:-1](coarse).detach().square().mean()) < 3
    assert float((network.decoder(torch.randn(4, 257)) - 0.5).detach().abs().mean()) < 0.1  # an even grey


def test_it_learns_to_repeat_images():
    torch.manual_seed(0)
    image = nn.functional.interpolate(torch.rand(4, 3, 4, 4), (16, 16), mode="bilinear")
    network = ConvAutoencoder(16)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    errors = []
    for _ in range(30):
        error = (network(image) - image).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    # All of the error but a fifth, though the mean color alone would leave the variance.
    assert errors[-1] < 0.2 * errors[0]
    assert errors[-1] < 0.5 * float(image.var(dim=0).mean())


@pytest.mark.parametrize(("size", "remedy"), [(100, 96), (8, 16), (250, 256)])
def test_sizes_that_cannot_be_halved_four_times_are_refused(size, remedy):
    with pytest.raises(ValueError, match=f"must be a multiple of 16.*, got {size}; take {remedy}"):
        ConvAutoencoder(size)


class TestLearnedDecoder:
    def test_codes_are_normalized(self):
        network = LearnedDecoder(16, code_size=3)
        codes = torch.tensor([[1.0, 100.0, 5.0], [3.0, 300.0, 5.0]])
        network.normalize_for(codes)
        assert network.mean.tolist() == [2, 200, 5]
        assert network.std.tolist() == [1, 100, 1]  # what never changes stays as it is
        torch.testing.assert_close(network(codes), network.decoder(torch.tensor([[-1.0, -1, 0], [1, 1, 0]])))

    def test_normalization_is_kept_with_the_weights(self):
        network, again = LearnedDecoder(16, 3), LearnedDecoder(16, 3)
        network.normalize_for(torch.tensor([[1.0, 2, 3], [2, 4, 8]]))
        again.load_state_dict(network.state_dict())
        code = torch.randn(2, 3)
        assert torch.equal(again(code), network(code))
