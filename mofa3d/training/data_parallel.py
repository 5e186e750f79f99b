"""One training in several processes: each works on its rows of a batch, and their gradients are averaged.

Losses are means over a batch of which all processes have equally many rows. The average of their gradients is then the
gradient that one process would find for the whole batch, but for the order in which numbers are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mofa3d.encoders.factored_linear import TakeStep, leave_step_to
from mofa3d.environment.processes import Processes, naming_the_lost
from mofa3d.training.checkpoint import copied, random_states, set_random_states
from mofa3d.training.shared_layers import sharing_layers

Result = TypeVar("Result")
Told = TypeVar("Told")


@contextmanager
def in_parallel(
    network: nn.Module, step: Callable[..., Result], processes: Processes
) -> Iterator[Callable[..., Result]]:
    """A step of a training whose backward pass averages gradients over all processes.

    Args:
        network: all of whose parameters the step uses.
        step: works on this process's rows, and its result's backward pass reaches the network's parameters.
    """
    if processes.count == 1:
        yield step
        return
    stepping = {name: weight for name, weight in network.named_parameters() if "take_step" in weight.__dict__}
    former: dict[str, TakeStep] = {name: weight.take_step for name, weight in stepping.items()}  # type: ignore[attr-defined]
    wrapped = _Stepping(network, step)
    names = [f"network.{name}" for name in stepping]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(wrapped, names)
    cards = [torch.device(processes.device).index] if processes.device.startswith("cuda") else None
    with naming_the_lost(), sharing_layers(network, processes):
        parallel = DistributedDataParallel(wrapped, device_ids=cards, broadcast_buffers=False, init_sync=False)
        for name, weight in stepping.items():
            leave_step_to(weight, _together(former[name], processes))
        try:
            yield parallel
        finally:
            for name, weight in stepping.items():
                leave_step_to(weight, former[name])


class _Stepping(nn.Module):
    """A training's step as a module, which is what PyTorch's engine takes."""

    def __init__(self, network: nn.Module, step: Callable) -> None:
        super().__init__()
        self.network, self.step = network, step

    def forward(self, *given: object) -> object:
        return self.step(*given)


def _together(take_step: TakeStep, processes: Processes) -> TakeStep:
    """Let a weight that steps in the backward pass step with the factors of all processes, which send these alone."""

    def gathered(rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(processes.count)]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    def step(weight: Tensor, left: Float[Tensor, "B O"], right: Float[Tensor, "B I"]) -> Float[Tensor, "B I"]:
        every = gathered(left.contiguous() / processes.count)  # whose products are the average gradient
        back = take_step(weight, every, gathered(right.contiguous()))
        return back[processes.rows(len(every))] * processes.count

    return step


def begin_alike(network: nn.Module, optimizer: torch.optim.Optimizer, about: Told, processes: Processes) -> Told:
    """Let all processes begin with the first one's weights, optimiser and random states.

    Args:
        network, optimizer: are changed.
        about: what else they are told.

    Returns:
        What the first process tells about.
    """
    if processes.count == 1:
        return about
    told, state, random = processes.hand_out((about, copied(optimizer.state_dict()), random_states()))
    with naming_the_lost(), torch.no_grad():
        for value in network.state_dict().values():
            dist.broadcast(value, 0)
    if not processes.leads:
        optimizer.load_state_dict(state)
        set_random_states(random)
    if "cuda" in random and processes.device.startswith("cuda"):
        torch.cuda.set_rng_state(random["cuda"][0], processes.device)  # the first process has the first card
    return told
