"""Weights that step in the backward pass take the steps that PyTorch's optimiser takes after it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mofa3d.encoders.factored_linear import FactoredLinear, rounded_copy
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.training import adadelta
from mofa3d.training.adadelta import Adadelta
from mofa3d.training.mofa import TrainingConfig, make_optimizer

pytestmark = pytest.mark.processor

WEIGHTS = (1, 3)


def make_network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Two layers that can step, with even and odd numbers of rows."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 8), FactoredLinear(8, 56), nn.Tanh(), FactoredLinear(56, 3)).to(dtype)


def make_stepping(dtype: torch.dtype = torch.float32, **options) -> tuple[nn.Sequential, Adadelta]:
    network = make_network(dtype)
    optimizer = Adadelta(network.parameters(), 0.1, **options)
    for number in WEIGHTS:
        optimizer.step_in_backward(network[number].weight)
    return network, optimizer


def train(network: nn.Module, optimizer: torch.optim.Optimizer, batch: int = 5) -> None:
    generator = torch.Generator().manual_seed(1)
    dtype = next(network.parameters()).dtype
    for _ in range(20):
        optimizer.zero_grad()
        network(torch.rand(batch, 7, generator=generator).to(dtype)).square().mean().backward()
        optimizer.step()


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("batch", [1, 4, 5])
@pytest.mark.parametrize("parts", [1, 3, 8])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01, "rho": 0.8, "maximize": True}])
def test_twenty_steps_are_those_of_pytorch(batch, parts, options, monkeypatch):
    monkeypatch.setattr(adadelta, "PARTS", parts)
    theirs = make_network()
    ours, optimizer = make_stepping(**options)
    train(ours, optimizer, batch)
    train(theirs, torch.optim.Adadelta(theirs.parameters(), 0.1, **options), batch)
    assert_same(ours, theirs)
    assert (ours[1].weight - make_network()[1].weight).abs().max() > 1e-4


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}])
def test_outputs_that_rest_step_as_pytorch_says(options):
    def with_dead_outputs(network: nn.Sequential) -> nn.Sequential:
        network[2] = nn.ReLU()
        with torch.no_grad():
            network[1].bias[10:41] = -100
        return network

    ours, optimizer = make_stepping(**options)
    theirs = with_dead_outputs(make_network())
    second = torch.optim.Adadelta(theirs.parameters(), 0.1, **options)
    train(theirs, second)
    train(with_dead_outputs(ours), optimizer)
    with torch.no_grad():  # they wake
        for network in (ours, theirs):
            network[1].bias[10:41] = 0
    train(ours, optimizer)
    train(theirs, second)
    assert_same(ours, theirs)


def test_the_step_is_taken_in_the_backward_pass_and_the_gradients_are_those_before_it():
    (ours, optimizer), theirs, value = make_stepping(), make_network(), torch.rand(5, 7)
    before = ours[1].weight.clone()
    for network in (ours, theirs):
        network(value).square().mean().backward()
    for number in WEIGHTS:
        assert ours[number].weight.grad is None
        torch.testing.assert_close(ours[number].bias.grad, theirs[number].bias.grad)
    torch.testing.assert_close(ours[0].weight.grad, theirs[0].weight.grad)
    stepped = ours[1].weight.clone()
    assert not torch.equal(stepped, before)
    optimizer.step()
    assert torch.equal(ours[1].weight, stepped)


def test_optimizers_can_be_copied():
    network, optimizer = make_stepping()
    train(network, optimizer)
    ours, theirs = copy.deepcopy((network, optimizer)), copy.deepcopy((network, optimizer))
    for step in (Adadelta.step, torch.optim.Adadelta.step):
        changed, other = ours if step is Adadelta.step else theirs
        changed(torch.linspace(0, 1, 35).view(5, 7)).square().mean().backward()
        step(other)
    assert_same(ours[0], theirs[0])
    assert not torch.equal(ours[0][1].weight, network[1].weight)


def test_second_pass_before_the_step_is_refused():
    network, optimizer = make_stepping()
    network(torch.rand(2, 7)).sum().backward()
    with pytest.raises(RuntimeError, match="a second backward pass before the optimiser's step"):
        network(torch.rand(2, 7)).sum().backward()
    optimizer.step()
    network(torch.rand(2, 7)).sum().backward()


def test_rows_that_are_not_whole_lanes_step_afterwards():
    torch.manual_seed(0)
    ours, theirs = FactoredLinear(13, 3), nn.Linear(13, 3)
    theirs.load_state_dict(ours.state_dict())
    value = torch.linspace(-1, 2, 65).view(5, 13).requires_grad_()
    first, second = Adadelta(ours.parameters(), 0.1), torch.optim.Adadelta(theirs.parameters(), 0.1)
    first.step_in_backward(ours.weight)
    backs = []
    for layer, optimizer in ((ours, first), (theirs, second)):
        for _ in range(2):  # such gradients add up
            layer(value).square().mean().backward()
        backs.append(value.grad)
        value.grad = None
        optimizer.step()
    torch.testing.assert_close(*backs)
    assert_same(ours, theirs)


def test_other_types_step_afterwards():
    (ours, optimizer), theirs = make_stepping(torch.float64), make_network(torch.float64)
    train(ours, optimizer)
    train(theirs, torch.optim.Adadelta(theirs.parameters(), 0.1))
    assert_same(ours, theirs)


def test_state_is_that_of_pytorch_and_goes_on():
    (ours, first), theirs = make_stepping(), make_network()
    second = torch.optim.Adadelta(theirs.parameters(), 0.1)
    train(ours, first)
    train(theirs, second)
    states = first.state_dict()["state"], second.state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for index, state in states[1].items():
        assert states[0][index].keys() == state.keys()
        for name, value in state.items():
            torch.testing.assert_close(states[0][index][name], value, atol=1e-6, rtol=1e-4)
    again, third = make_stepping()
    again.load_state_dict(theirs.state_dict())
    third.load_state_dict(copy.deepcopy(second.state_dict()))
    train(again, third)
    train(theirs, second)
    assert_same(again, theirs)


def test_without_gradients_or_for_copies_it_is_a_plain_layer():
    network, _ = make_stepping()
    value, before = torch.rand(2, 7), network[1].weight.clone()
    with torch.no_grad():
        plain = network(value)
    other = copy.deepcopy(network)
    other(value).sum().backward()
    assert torch.equal(other[1].weight, before)
    assert other[1].weight.grad is not None
    network[1].weight.requires_grad_(False)
    network(value).sum().backward()
    assert torch.equal(network[1].weight, before)
    torch.testing.assert_close(plain, other(value))


def test_second_derivatives_are_refused():
    network, _ = make_stepping()
    value = torch.rand(2, 7, requires_grad=True)
    [grad] = torch.autograd.grad(network(value).square().sum(), value, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_rounded_copies_follow_their_weights():
    network, optimizer = make_stepping()
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.rand(5, 7)).float().square().mean().backward()
        optimizer.step()
        for number in WEIGHTS:
            weight = network[number].weight
            assert torch.equal(rounded_copy(weight), weight.bfloat16())
    network.load_state_dict(make_network().state_dict())
    assert rounded_copy(network[1].weight) is None  # it would be that of other values
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(5, 7))
    assert torch.equal(rounded_copy(network[1].weight), network[1].weight.bfloat16())


def test_bfloat16_is_as_near_as_autocast_comes():
    (ours, _), theirs, value = make_stepping(), make_network(), torch.rand(5, 7)
    plain = make_network()
    plain(value).square().mean().backward()
    for network in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16):
            network(value).float().square().mean().backward()
    expected = plain[0].weight.grad
    ours_off, theirs_off = ((network[0].weight.grad - expected).abs().max() for network in (ours, theirs))
    assert 0 < ours_off < 2 * theirs_off + 1e-6
    assert ours[0].weight.grad.dtype == ours[3].bias.grad.dtype == torch.float32


def test_weights_step_in_the_backward_pass_only_if_that_is_asked_for():
    encoder = make_encoder("alexnet", weights=None)
    layers = [layer for layer in encoder.modules() if isinstance(layer, FactoredLinear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(9216, 4096), (4096, 4096)]
    for config in (TrainingConfig(), TrainingConfig(optimizer="adam")):
        make_optimizer(encoder, config)
        assert not any(hasattr(layer.weight, "take_step") for layer in layers)
    make_optimizer(encoder, TrainingConfig(step_in_backward=True))
    assert all(hasattr(layer.weight, "take_step") for layer in layers)


def test_stepping_in_the_backward_pass_is_adadeltas():
    with pytest.raises(ValueError, match="step_in_backward works with the optimizer adadelta, got adam"):
        TrainingConfig(optimizer="adam", step_in_backward=True)


class SmallEncoder(Encoder):
    """`make_network` with an encoder's groups of parameters."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.layers = make_network()

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.layers(value)

    def parameter_groups(self, learning_rate: float, depth_learning_rate: float) -> list[dict]:
        return [{"params": list(self.parameters()), "lr": learning_rate}]


def clipped_and_added_up(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Steps on the sum of two passes' gradients, which are clipped."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        optimizer.zero_grad()
        for _ in range(2):
            network(torch.rand(5, 7, generator=generator)).square().mean().backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        assert norm > 0.01
        optimizer.step()


def test_by_default_gradients_can_be_clipped_and_added_up_over_passes():
    ours, theirs = (SmallEncoder() for _ in range(2))
    clipped_and_added_up(ours, make_optimizer(ours, TrainingConfig()))
    clipped_and_added_up(theirs, torch.optim.Adadelta(theirs.parameters(), 0.1))
    assert_same(ours, theirs)
    assert (ours.layers[1].weight - make_network()[1].weight).abs().max() > 1e-4


def test_a_training_has_the_same_numbers_whether_weights_step_in_the_backward_pass_or_after_it():
    networks = []
    for ahead in (False, True):
        network = SmallEncoder()
        train(network, make_optimizer(network, TrainingConfig(step_in_backward=ahead)))
        networks.append(network)
    assert hasattr(networks[1].layers[1].weight, "take_step")
    assert_same(*networks)
