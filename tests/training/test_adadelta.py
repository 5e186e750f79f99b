"""The fused AdaDelta takes PyTorch's steps and continues PyTorch's checkpoints."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mofa3d.training import adadelta
from mofa3d.training.adadelta import Adadelta

pytestmark = pytest.mark.processor

STEPS = 20


def make_network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Convolutions whose weights lie channels-last, as the encoders' do, and a layer of more than one run."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1, groups=2), nn.Flatten()]
    network = nn.Sequential(*convolutions, nn.Linear(8 * 6 * 6, 50), nn.Linear(50, 1))
    return network.to(dtype).to(memory_format=torch.channels_last)


def make_groups(network: nn.Module) -> list[dict]:
    parameters = list(network.parameters())
    return [{"params": parameters[:-2], "lr": 0.1}, {"params": parameters[-2:], "lr": 0.0005}]


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    dtype = next(network.parameters()).dtype
    for _ in range(steps):
        image = torch.rand(4, 3, 8, 8, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        network(image).square().mean().backward()
        optimizer.step()


def assert_same(ours: nn.Module, theirs: nn.Module, tolerance: float = 1e-6) -> None:
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=0, msg=name)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    monkeypatch.setattr(adadelta, "RUN", 1000)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}, {"rho": 0.8, "eps": 1e-4}])
def test_twenty_steps_are_those_of_pytorch(options):
    ours, theirs = make_network(), make_network()
    train(ours, Adadelta(make_groups(ours), **options), STEPS)
    train(theirs, torch.optim.Adadelta(make_groups(theirs), **options), STEPS)
    assert_same(ours, theirs)
    moved = [(a - b).abs().max() for a, b in zip(ours.parameters(), make_network().parameters(), strict=True)]
    assert all(change > 1e-4 for change in moved[:-2])
    assert 0 < max(moved[-2:]) < 1e-4  # their own rate


def test_every_parameter_of_float32_is_fused(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("PyTorch's own step was taken")

    monkeypatch.setattr(adadelta, "adadelta", refuse)
    network = make_network()
    train(network, Adadelta(make_groups(network)), 2)


@pytest.mark.parametrize(("dtype", "options"), [(torch.float64, {}), (torch.float32, {"maximize": True})])
def test_other_types_and_options_go_the_way_of_pytorch(monkeypatch, dtype, options):
    def refuse(*_):
        raise AssertionError("the fused step was taken")

    ours, theirs = make_network(dtype), make_network(dtype)
    train(theirs, torch.optim.Adadelta(make_groups(theirs), **options), 3)
    monkeypatch.setattr(adadelta.parallel, "run", lambda task, calls: [refuse() for _ in calls])
    train(ours, Adadelta(make_groups(ours), **options), 3)
    assert_same(ours, theirs, tolerance=0)


def test_gradients_in_another_order_are_matched_to_their_weights():
    values = torch.rand(6, 5), torch.rand(6, 5)
    results = []
    for kind in (Adadelta, torch.optim.Adadelta):
        parameter = nn.Parameter(values[0].clone())
        parameter.grad = values[1].T.contiguous().T
        kind([parameter]).step()
        results.append(parameter.detach())
    torch.testing.assert_close(*results, atol=1e-7, rtol=0)


@pytest.mark.parametrize("kinds", [(Adadelta, torch.optim.Adadelta), (torch.optim.Adadelta, Adadelta)])
def test_each_continues_the_other(kinds, tmp_path):
    whole, parts = make_network(), make_network()
    optimizer = torch.optim.Adadelta(make_groups(whole))
    train(whole, optimizer, 5, seed=1)
    train(whole, optimizer, 5, seed=2)
    first = kinds[0](make_groups(parts))
    train(parts, first, 5, seed=1)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = kinds[1](make_groups(parts))
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train(parts, second, 5, seed=2)
    assert_same(parts, whole)
    ours, theirs = second.state_dict(), optimizer.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert all(float(state["step"]) == 10 for state in ours["state"].values())
    for index, state in theirs["state"].items():
        torch.testing.assert_close(ours["state"][index]["square_avg"], state["square_avg"], atol=1e-6, rtol=1e-4)


def test_number_of_threads_does_not_matter(monkeypatch):
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        network = make_network()
        train(network, Adadelta(make_groups(network)), 3)
        results.append(network)
    assert_same(*results, tolerance=0)


def test_parameters_without_gradient_stay():
    moving, still = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = Adadelta([moving, still])
    moving.square().sum().backward()
    optimizer.step()
    assert torch.equal(still, torch.ones(3))
    assert (moving < 1).all()


def test_closure_is_evaluated_with_gradients():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = Adadelta([parameter])

    def closure() -> torch.Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).detach() == 3
    assert (parameter < 1).all()


def test_nan_comes_through():
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([1.0, float("nan"), 1.0])
    Adadelta([parameter]).step()
    assert parameter.isnan().tolist() == [False, True, False]


def test_a_graph_of_the_old_values_cannot_be_used_any_more():
    parameter = nn.Parameter(torch.ones(3))
    loss = parameter.square().sum()
    parameter.grad = torch.ones(3)
    Adadelta([parameter]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
