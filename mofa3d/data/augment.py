"""Random changes to training photographs that keep their landmarks true."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Where each iBUG point goes when a face is mirrored.
MIRRORED_68 = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


def mirror(
    image: Float[Tensor, "3 H W"], landmarks: Float[Tensor, "68 2"], confidence: Float[Tensor, "68"]
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "68 2"], Float[Tensor, "68"]]:
    """The mirror image, with its points (pixels) renumbered so that left stays left."""
    order = list(MIRRORED_68)
    mirrored = landmarks[order].clone()
    mirrored[:, 0] = image.shape[-1] - mirrored[:, 0]
    return image.flip(-1), mirrored, confidence[order]


def random_mirror(item: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Mirror an item's image and points half of the time; a true code would no longer fit and is dropped."""
    if torch.rand((), generator=generator) < 0.5:
        return item
    image, landmarks, confidence = mirror(item["image"], item["landmarks"], item["confidence"])
    kept = {name: value for name, value in item.items() if name != "code"}
    return {**kept, "image": image, "landmarks": landmarks, "confidence": confidence}
