"""A convolutional decoder that learns what the parametric one computes: codes to pixels (Tewari et al., Fig. 14)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.baselines.conv_autoencoder import ConvDecoder


class LearnedDecoder(nn.Module):
    """The autoencoder's decoder behind a normalisation of semantic codes, whose numbers are σ, radians and mm.

    Args:
        image_size: side of its images.
        code_size: length of a code vector (`SemanticCode.to_vector`).
    """

    def __init__(self, image_size: int = 240, code_size: int = 257) -> None:
        super().__init__()
        self.decoder = ConvDecoder(image_size, code_size)
        self.register_buffer("mean", torch.zeros(code_size, dtype=torch.float32))
        self.register_buffer("std", torch.ones(code_size, dtype=torch.float32))

    def normalize_for(self, codes: Float[Tensor, "K D"]) -> None:
        """Take mean and spread from the codes to train on; a number that never changes stays as it is."""
        self.mean.copy_(codes.mean(dim=0))
        spread = codes.std(dim=0, correction=0)
        self.std.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, code: Float[Tensor, "B D"]) -> Float[Tensor, "B 3 S S"]:
        """Images in 0 to 1."""
        return self.decoder((code - self.mean) / self.std)
