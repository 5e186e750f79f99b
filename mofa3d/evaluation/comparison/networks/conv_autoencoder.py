"""A convolutional autoencoder without any model of faces (Tewari et al. 2017, Fig. 13).

Four 3×3 convolutions of stride 2, a fully connected code as long as the semantic one, a fully connected layer back, and
four 4×4 deconvolutions of stride 2. The activations are our choice: ReLU, and a sigmoid at the end that keeps the
colors in 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.errors import InputError

Convolution = nn.Conv2d | nn.ConvTranspose2d


class LearnedDecoder(nn.Module):
    """The autoencoder's decoder behind a normalisation of semantic codes, whose numbers are σ, radians and mm.

    Args:
        image_size: side of its images.
        code_size: length of a code vector (`SemanticCode.to_vector`).
    """

    mean: Float[Tensor, "D"]
    std: Float[Tensor, "D"]

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


ENCODER_CHANNELS = (3, 64, 96, 128, 256)
DECODER_CHANNELS = (256, 128, 96, 64, 3)
REDUCTION = 16  # four layers of stride 2
CODE_SIZE = 257


@dataclass(frozen=True)
class ConvDescription:
    """What must be known to build one of the pixel networks again.

    Attributes:
        system: "autoencoder" or "conv_decoder".
        image_size: side of its images; the paper's is 240.
        code_size: length of the code.
    """

    system: str
    image_size: int = 240
    code_size: int = CODE_SIZE

    def to_dict(self) -> dict:
        return asdict(self)


def check_image_size(image_size: int) -> None:
    """Raises InputError for a side that four halvings do not divide."""
    if image_size < REDUCTION or image_size % REDUCTION:
        raise InputError(
            f"the image size must be a multiple of {REDUCTION}, because four layers halve it, got {image_size}; take "
            f"{max(REDUCTION, round(image_size / REDUCTION) * REDUCTION)}"
        )


class ConvEncoder(nn.Module):
    """Images (B, 3, S, S) to codes (B, C).

    Args:
        image_size: S.
        code_size: C.

    Raises:
        InputError: S is no multiple of 16.
    """

    def __init__(self, image_size: int = 240, code_size: int = CODE_SIZE) -> None:
        super().__init__()
        check_image_size(image_size)
        self.layers = _stack(ENCODER_CHANNELS, lambda a, b: nn.Conv2d(a, b, 3, stride=2, padding=1))
        self.layers.append(nn.ReLU())
        self.code = nn.Linear(ENCODER_CHANNELS[-1] * (image_size // REDUCTION) ** 2, code_size)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it

    def forward(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B C"]:
        centred = (image - 0.5).contiguous(memory_format=torch.channels_last)
        return self.code(self.layers(centred).flatten(1))


class ConvDecoder(nn.Module):
    """Codes (B, C) to images (B, 3, S, S) in 0 to 1; arguments as for `ConvEncoder`."""

    def __init__(self, image_size: int = 240, code_size: int = CODE_SIZE) -> None:
        super().__init__()
        check_image_size(image_size)
        self.side = image_size // REDUCTION
        self.spread = nn.Linear(code_size, DECODER_CHANNELS[0] * self.side**2)
        self.layers = _stack(DECODER_CHANNELS, lambda a, b: nn.ConvTranspose2d(a, b, 4, stride=2, padding=1))
        with torch.no_grad():
            cast(
                nn.ConvTranspose2d, self.layers[-1]
            ).weight *= 0.1  # start near an even grey, not at chequers that must be unlearned first
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it

    def forward(self, code: Float[Tensor, "B C"]) -> Float[Tensor, "B 3 S S"]:
        coarse = self.spread(code).relu().unflatten(1, (-1, self.side, self.side))
        return self.layers(coarse.contiguous(memory_format=torch.channels_last)).sigmoid()


class ConvAutoencoder(nn.Module):
    """Encoder and decoder; arguments as for `ConvEncoder`."""

    def __init__(self, image_size: int = 240, code_size: int = CODE_SIZE) -> None:
        super().__init__()
        self.encoder = ConvEncoder(image_size, code_size)
        self.decoder = ConvDecoder(image_size, code_size)

    def forward(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
        """The images as the network gives them back, in 0 to 1."""
        return self.decoder(self.encoder(image))


def _stack(channels: tuple[int, ...], layer: Callable[[int, int], Convolution]) -> nn.Sequential:
    """Layers with ReLU between them, whose weights keep the spread of what flows through (He et al. 2015)."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        made = layer(before, after)
        # Of a deconvolution of stride 2, a quarter of the 4×4 weights meets in each pixel.
        fan = before * (9 if isinstance(made, nn.Conv2d) else 4)
        nn.init.normal_(made.weight, std=(2 / fan) ** 0.5)
        nn.init.zeros_(cast(Tensor, made.bias))
        layers += [made, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
