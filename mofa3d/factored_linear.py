"""Fully connected layers whose weight's gradient stays the product of two small matrices until the optimiser's step.

Over a batch of B, the gradient of a layer's weight is the sum of B outer products. Two layers of AlexNet hold 54 of its
58 million weights; writing their gradient and reading it again moves 0.4 GB through memory in each step, while its
factors, what came into the layer and what came back, are a thousand times smaller. Under autocast to bfloat16, a
rounded copy of the weight that the optimiser keeps up to date saves rounding it anew.

Reference: Xie et al. 2016, "Lighter-Communication Distributed Machine Learning via Sufficient Factor Broadcasting",
which sends the same factors over a network.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

Factors = tuple[Float[Tensor, "B O"], Float[Tensor, "B I"]]


class FactoredLinear(nn.Linear):
    """An `nn.Linear`; with `keep_factors`, its weight's gradient is left to `take_factors` instead of `.grad`."""

    keep_factors = False

    def forward(self, value: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        if not (self.keep_factors and torch.is_grad_enabled()):
            return super().forward(value)
        device = value.device.type
        half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
        with torch.autocast(device, enabled=False):
            return _Product.apply(value.to(torch.bfloat16 if half else self.weight.dtype), self.weight, self.bias)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, weight, bias):
        ctx.save_for_backward(value, weight)
        return nn.functional.linear(value, _in_type_of(value, weight), bias.to(value.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        value, weight = ctx.saved_tensors
        # An attribute of the tensor, as `.grad` is; several backward passes add up.
        weight.factors = [*getattr(weight, "factors", ()), (grad, value)]
        back = grad @ _in_type_of(grad, weight) if ctx.needs_input_grad[0] else None
        return back, None, grad.sum(dim=0, dtype=weight.dtype)


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
    weight.rounded = (weight._version, copy)


def take_factors(weight: Tensor) -> Factors | None:
    """The factors (left, right) of a weight's gradient leftᵀ · right since the last call; None if there is none."""
    parts = weight.__dict__.pop("factors", None)
    if not parts:
        return None
    left, right = (torch.cat(part).to(weight.dtype) for part in zip(*parts, strict=True))
    return left, right
