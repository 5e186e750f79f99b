"""Gradients that stay factors lead to the same steps as those that are multiplied out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mofa3d import optimizers
from mofa3d.encoders import make_encoder
from mofa3d.factored_linear import FactoredLinear, rounded_copy, take_factors
from mofa3d.optimizers import Adadelta
from mofa3d.training import TrainingConfig, make_optimizer


def make_network(keep_factors: bool, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(7, 8), FactoredLinear(8, 56), nn.Tanh(), FactoredLinear(56, 3)).to(dtype)
    for layer in network:
        if isinstance(layer, FactoredLinear):
            layer.keep_factors = keep_factors
    return network


def train(network: nn.Module, optimizer: torch.optim.Optimizer, batch: int = 5, passes: int = 1) -> None:
    generator = torch.Generator().manual_seed(1)
    dtype = next(network.parameters()).dtype
    for _ in range(20):
        optimizer.zero_grad()
        for _ in range(passes):
            network(torch.rand(batch, 7, generator=generator).to(dtype)).square().mean().backward()
        optimizer.step()


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0, msg=name)


def test_product_of_the_factors_is_the_gradient():
    ours, theirs = make_network(keep_factors=True), make_network(keep_factors=False)
    value = torch.rand(5, 7)
    for network in (ours, theirs):
        network(value).square().mean().backward()
    for number in (1, 3):
        weight = ours[number].weight
        assert weight.grad is None
        left, right = take_factors(weight)
        assert (len(left), len(right)) == (5, 5)
        torch.testing.assert_close(left.T @ right, theirs[number].weight.grad)
        torch.testing.assert_close(ours[number].bias.grad, theirs[number].bias.grad)
        assert take_factors(weight) is None
    torch.testing.assert_close(ours[0].weight.grad, theirs[0].weight.grad)


@pytest.mark.parametrize("batch", [1, 4, 5])
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01, "rho": 0.8}, {"maximize": True}])
def test_twenty_steps_are_those_of_pytorch(batch, passes, options, monkeypatch):
    monkeypatch.setattr(optimizers, "RUN", 120)
    ours, theirs = make_network(keep_factors=True), make_network(keep_factors=False)
    train(ours, Adadelta(ours.parameters(), 0.1, **options), batch, passes)
    train(theirs, torch.optim.Adadelta(theirs.parameters(), 0.1, **options), batch, passes)
    assert_same(ours, theirs)
    assert (ours[1].weight - make_network(keep_factors=True)[1].weight).abs().max() > 1e-4


def test_rows_that_are_not_whole_lanes_are_multiplied_out():
    torch.manual_seed(0)
    ours, theirs = FactoredLinear(13, 3), nn.Linear(13, 3)
    theirs.load_state_dict(ours.state_dict())
    ours.keep_factors = True
    optimizers_of_both = Adadelta(ours.parameters(), 0.1), torch.optim.Adadelta(theirs.parameters(), 0.1)
    for layer, optimizer in zip((ours, theirs), optimizers_of_both, strict=True):
        layer(torch.linspace(-1, 2, 65).view(5, 13)).square().mean().backward()
        optimizer.step()
    assert_same(ours, theirs)


def test_other_types_are_multiplied_out():
    ours, theirs = (make_network(keep_factors=keep, dtype=torch.float64) for keep in (True, False))
    train(ours, Adadelta(ours.parameters(), 0.1))
    train(theirs, torch.optim.Adadelta(theirs.parameters(), 0.1))
    assert_same(ours, theirs)


def test_state_is_that_of_pytorch():
    ours, theirs = make_network(keep_factors=True), make_network(keep_factors=False)
    first, second = Adadelta(ours.parameters(), 0.1), torch.optim.Adadelta(theirs.parameters(), 0.1)
    train(ours, first)
    train(theirs, second)
    states = first.state_dict()["state"], second.state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for index, state in states[1].items():
        assert states[0][index].keys() == state.keys()
        for name, value in state.items():
            torch.testing.assert_close(states[0][index][name], value, atol=1e-6, rtol=1e-4)


def test_zero_grad_forgets_factors():
    network = make_network(keep_factors=True)
    optimizer = Adadelta(network.parameters())
    network(torch.rand(2, 7)).sum().backward()
    optimizer.zero_grad()
    assert take_factors(network[1].weight) is None


def test_nothing_is_kept_without_gradients():
    network = make_network(keep_factors=True)
    with torch.no_grad():
        network(torch.rand(2, 7))
    assert take_factors(network[1].weight) is None


def test_second_derivatives_are_refused():
    network = make_network(keep_factors=True)
    value = torch.rand(2, 7, requires_grad=True)
    [grad] = torch.autograd.grad(network(value).square().sum(), value, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_rounded_copies_follow_their_weights():
    network = make_network(keep_factors=True)
    optimizer = Adadelta(network.parameters(), 0.1)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.rand(5, 7)).float().square().mean().backward()
        optimizer.step()
        for number in (1, 3):
            weight = network[number].weight
            assert torch.equal(rounded_copy(weight), weight.bfloat16())
    network.load_state_dict(make_network(keep_factors=True).state_dict())
    assert rounded_copy(network[1].weight) is None  # it would be that of other values
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(5, 7))
    assert torch.equal(rounded_copy(network[1].weight), network[1].weight.bfloat16())


def test_bfloat16_is_as_near_as_autocast_comes():
    ours, theirs, value = make_network(keep_factors=True), make_network(keep_factors=False), torch.rand(5, 7)
    for network in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16):
            network(value).float().square().mean().backward()
    left, right = take_factors(ours[3].weight)
    assert left.dtype == right.dtype == torch.float32
    torch.testing.assert_close(left.T @ right, theirs[3].weight.grad, atol=1e-3, rtol=0.02)
    torch.testing.assert_close(ours[0].weight.grad, theirs[0].weight.grad, atol=1e-3, rtol=0.02)
    assert ours[3].bias.grad.dtype == torch.float32


def test_alexnet_keeps_factors_for_adadelta_only():
    encoder = make_encoder("alexnet", weights=None)
    layers = [layer for layer in encoder.modules() if isinstance(layer, FactoredLinear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(9216, 4096), (4096, 4096)]
    make_optimizer(encoder, TrainingConfig(optimizer="adam"))
    assert not any(layer.keep_factors for layer in layers)
    make_optimizer(encoder, TrainingConfig(optimizer="adadelta"))
    assert all(layer.keep_factors for layer in layers)
