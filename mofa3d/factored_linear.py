"""Fully connected layers whose weight's gradient stays the product of two small matrices until the optimiser's step.

Over a batch of B, the gradient of a layer's weight is the sum of B outer products. Two layers of AlexNet hold 54 of its
58 million weights; writing their gradient and reading it again moves 0.4 GB through memory in each step, while its
factors, what came into the layer and what came back, are a thousand times smaller.

Reference: Xie et al. 2016, "Lighter-Communication Distributed Machine Learning via Sufficient Factor Broadcasting",
which sends the same factors over a network.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

Factors = tuple[Float[Tensor, "B O"], Float[Tensor, "B I"]]


class FactoredLinear(nn.Linear):
    """An `nn.Linear`; with `keep_factors`, training leaves its weight's gradient to `take_factors` instead of `.grad`.

    It then computes in the type of its weight, also under autocast: reading the weight is what takes the time.
    """

    keep_factors = False

    def forward(self, value: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        if not (self.keep_factors and torch.is_grad_enabled()):
            return super().forward(value)
        with torch.autocast(value.device.type, enabled=False):
            return _Product.apply(value.to(self.weight.dtype), self.weight, self.bias)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, weight, bias):
        ctx.save_for_backward(value, weight)
        return nn.functional.linear(value, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        value, weight = ctx.saved_tensors
        # An attribute of the tensor, as `.grad` is; several backward passes add up.
        weight.factors = [*getattr(weight, "factors", ()), (grad, value)]
        return (grad @ weight if ctx.needs_input_grad[0] else None), None, grad.sum(dim=0)


def take_factors(weight: Tensor) -> Factors | None:
    """The factors (left, right) of a weight's gradient leftᵀ · right since the last call; None if there is none."""
    parts = weight.__dict__.pop("factors", None)
    if not parts:
        return None
    left, right = zip(*parts, strict=True)
    return torch.cat(left), torch.cat(right)
