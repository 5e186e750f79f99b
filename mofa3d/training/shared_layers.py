"""Layers that depend on the whole batch, or on random numbers: over several processes they do what one would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mofa3d.environment.processes import Processes


@contextmanager
def sharing_layers(network: nn.Module, processes: Processes) -> Iterator[None]:
    """Let batch normalisation and dropout of a network see the batches of all processes as one, while inside.

    Every process draws the random numbers of the whole batch and uses its rows, so that their generators stay alike.
    """
    changed: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            changed[layer] = partial(_normalize, layer, processes)
        elif type(layer) is nn.Dropout:
            changed[layer] = partial(_drop, layer, processes)
    for layer, forward in changed.items():
        layer.__dict__["forward"] = forward  # hides that of the class
    try:
        yield
    finally:
        for layer in changed:
            del layer.__dict__["forward"]


def _drop(layer: nn.Dropout, processes: Processes, value: Tensor) -> Tensor:
    if not layer.training or layer.p in (0, 1):
        return nn.functional.dropout(value, layer.p, layer.training)
    size = len(value) * processes.count
    kept = torch.empty(size, *value.shape[1:], dtype=value.dtype, device=value.device).bernoulli_(1 - layer.p)
    return value * kept[processes.rows(size)].div_(1 - layer.p)


def _normalize(layer: _BatchNorm, processes: Processes, value: Tensor) -> Tensor:
    """PyTorch's `SyncBatchNorm` would do this, but on GPUs only."""
    if not layer.training:
        return type(layer).forward(layer, value)
    across = [axis for axis in range(value.ndim) if axis != 1]
    count = processes.count * value.numel() // value.shape[1]
    mean = _total(value.float().sum(dim=across)) / count
    shape = [-1 if axis == 1 else 1 for axis in range(value.ndim)]
    centered = value.float() - mean.view(shape)
    variance = _total(centered.square().sum(dim=across)) / count
    if layer.running_mean is not None:
        _keep_statistics(layer, mean.detach(), variance.detach() * (count / (count - 1)))
    normalized = centered * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.affine:
        normalized = torch.addcmul(layer.bias.view(shape), normalized, layer.weight.view(shape))
    return normalized.to(value.dtype)


def _total(value: Tensor) -> Tensor:
    """The sum over all processes."""
    return cast(Tensor, _Total.apply(value))


class _Total(torch.autograd.Function):
    """What every process adds reaches the losses of all, so the gradient is a sum over all, too."""

    @staticmethod
    def forward(ctx, value):
        total = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return _Total.forward(ctx, grad)


@torch.no_grad()
def _keep_statistics(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    batches, *statistics = cast(list[Tensor], [layer.num_batches_tracked, layer.running_mean, layer.running_var])
    batches.add_(1)
    weight = 1 / float(batches) if layer.momentum is None else layer.momentum
    for kept, found in zip(statistics, (mean, variance), strict=True):
        kept.lerp_(found, weight)
