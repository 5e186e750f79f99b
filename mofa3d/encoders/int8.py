"""Linear layers with weights of one byte, for inference where reading the weights is what takes time."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

# On two cores the product with bytes takes 0.65 ms more for each further image through AlexNet's two layers. Making
# bfloat16 of their weights takes 6 ms more than multiplying such that are there (`HalfLinear`), after which images are
# nearly free: that pays from about 13 images on. From 6 on, `HalfLinear` itself is faster.
FEW = 12
# Rows made bfloat16 at a time, in the same memory again; all at once take 44 ms.
ROWS = 1024
# PyTorch's product with bytes reads so many columns at a time, beyond the end of a row too, and crashes where they are
# not aligned in memory.
COLUMNS = 16


class Int8Linear(nn.Module):
    """A linear layer that keeps, and reads, its weights as bytes: row o is ``scale[o] * steps[o]``, steps -127 to 127.

    Values are bfloat16 and sums float32. Weights are off by half a step at most, of a row's largest weight 1/254.

    Args:
        layer: is not changed.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        # The steps are of the rounded scale's size, so that its rounding, which the product asks for, loses nothing;
        # it is by 1/512 at most, and 127 remains the largest step. A row of zeros must not divide by zero.
        scale = (weight.abs().amax(1) / 127).bfloat16().clamp_min(torch.finfo(torch.bfloat16).tiny)
        self.register_buffer("scale", scale)
        steps = (weight / scale[:, None]).round_().to(torch.int8)
        self.register_buffer("steps", nn.functional.pad(steps, (0, -steps.shape[1] % COLUMNS)))
        self.register_buffer("bias", layer.bias.detach().bfloat16())

    def forward(self, value: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        # Also where nothing is missing, this copies what may be part of another tensor, and so aligns it.
        value = nn.functional.pad(value, (0, self.steps.shape[1] - value.shape[1]))
        if len(value) <= FEW:
            return torch._weight_int8pack_mm(value, self.steps, self.scale).add_(self.bias)
        # Steps are small enough for bfloat16 to hold them exactly.
        held = value.new_empty(ROWS, value.shape[1])
        parts = [nn.functional.linear(value, held[: len(rows)].copy_(rows)) for rows in self.steps.split(ROWS)]
        return torch.addcmul(self.bias, torch.cat(parts, 1), self.scale)
