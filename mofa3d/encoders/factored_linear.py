"""Fully connected layers whose weight takes its step in the backward pass, and whose gradient is never written.

Over a batch of B, the gradient of a layer's weight is the sum of B outer products. Two layers of AlexNet hold 54 of its
58 million weights; writing their gradient and reading it again moves 0.4 GB through memory in each step, while its
factors, what came into the layer and what came back, are a thousand times smaller. The backward pass reads the weights
anyway, for the gradient of what came in: an optimiser that multiplies the factors then and there reads them once
instead of twice. Under autocast to bfloat16, a rounded copy of the weight that the optimiser keeps up to date saves
rounding it anew.

Reference: Xie et al. 2016, "Lighter-Communication Distributed Machine Learning via Sufficient Factor Broadcasting",
which sends the same factors over a network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

TakeStep = Callable[[Tensor, Float[Tensor, "B O"], Float[Tensor, "B I"]], Float[Tensor, "B I"]]


class FactoredLinear(nn.Linear):
    """An `nn.Linear`; after `leave_step_to`, its weight gets no `.grad` but is moved by each backward pass."""

    def forward(self, value: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        if "take_step" not in self.weight.__dict__ or not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(value)
        device = value.device.type
        half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
        with torch.autocast(device, enabled=False):
            return _Product.apply(value.to(torch.bfloat16 if half else self.weight.dtype), self.weight, self.bias)


def leave_step_to(weight: Tensor, take_step: TakeStep) -> None:
    """Let something take the steps of a `FactoredLinear`'s weight.

    Args:
        weight: remembers it in an attribute, which copies of the weight do not have.
        take_step: called with the weight (O, I) and the factors, left (B, O) and right (B, I), of its gradient
            leftᵀ · right; it may change the weight, and returns left · weight with the weight as it was.
    """
    weight.take_step = take_step  # type: ignore[attr-defined]  # tensors take attributes


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, weight, bias):
        ctx.save_for_backward(value, weight)
        return nn.functional.linear(value, _in_type_of(value, weight), bias.to(value.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        value, weight = ctx.saved_tensors
        back = weight.take_step(weight, grad.to(weight.dtype), value.to(weight.dtype))
        return back.to(value.dtype), None, grad.sum(dim=0, dtype=weight.dtype)


def _in_type_of(value: Tensor, weight: Tensor) -> Tensor:
    if value.dtype == weight.dtype:
        return weight.detach()
    copy = rounded_copy(weight)
    if copy is None:
        copy = weight.detach().to(value.dtype)
        keep_rounded(weight, copy)
    return copy


def rounded_copy(weight: Tensor) -> Float[Tensor, "O I"] | None:
    """The bfloat16 copy of a weight, unless there is none or the weight has changed since it was made."""
    version, copy = weight.__dict__.get("rounded", (-1, None))
    return copy if version == weight._version else None


def keep_rounded(weight: Tensor, copy: Float[Tensor, "O I"]) -> None:
    """Remember the bfloat16 copy of a weight as it is now."""
    weight.rounded = (weight._version, copy)  # type: ignore[attr-defined]  # tensors take attributes
