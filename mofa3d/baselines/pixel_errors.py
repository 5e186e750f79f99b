"""How near an image comes to a photograph, and how sharp it is, inside a region."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)


def color_distance(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Mean ‖image − photo‖₂ over the pixels of a region (the ℓ2,1 norm of Eq. 8): loss and error in one.

    0 where the region is empty.
    """
    # The clamp gives a perfect match the gradient 0 instead of NaN.
    distance = (image - photo).square().sum(dim=1).clamp_min(1e-12).sqrt()
    return (distance * region).sum(dim=(1, 2)) / region.sum(dim=(1, 2)).clamp_min(1.0)


def gradient_energy(image: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]) -> Float[Tensor, "B"]:
    """Mean squared brightness difference of neighbouring pixels that both lie in a region; 0 where there are none."""
    grey = (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1)
    across = region[:, :, 1:] * region[:, :, :-1]
    down = region[:, 1:] * region[:, :-1]
    energy = (across * (grey[:, :, 1:] - grey[:, :, :-1]).square()).sum(dim=(1, 2))
    energy = energy + (down * (grey[:, 1:] - grey[:, :-1]).square()).sum(dim=(1, 2))
    return energy / (across.sum(dim=(1, 2)) + down.sum(dim=(1, 2))).clamp_min(1.0)


def sharpness(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Gradient energy of an image over that of the photograph it stands for; below 1 it is blurrier."""
    return gradient_energy(image, region) / gradient_energy(photo, region).clamp_min(1e-12)
