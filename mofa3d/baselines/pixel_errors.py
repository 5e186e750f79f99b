"""How near an image comes to a photograph, and how sharp it is, inside a region."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mofa3d.skin_tone import LUMA


def color_distance(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Mean ‖image − photo‖₂ over the pixels of a region (the ℓ2,1 norm of Eq. 8): loss and error in one.

    0 where the region is empty.
    """
    # The clamp gives a perfect match the gradient 0 instead of NaN.
    distance = (image - photo).square().sum(dim=1).clamp_min(1e-12).sqrt()
    return (distance * region).sum(dim=(1, 2)) / region.sum(dim=(1, 2)).clamp_min(1.0)


def gradient_product(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Mean product of two images' brightness differences of neighbouring pixels that both lie in a region.

    Of an image with itself, its gradient energy; 0 where there are no neighbours.
    """
    first, second = ((image * image.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1) for image in (a, b))
    total, number = region.new_zeros(len(region)), region.new_zeros(len(region))
    for axis in (1, 2):
        size = region.shape[axis] - 1
        pairs = region.narrow(axis, 0, size) * region.narrow(axis, 1, size)
        product = first.diff(dim=axis) * second.diff(dim=axis)
        total, number = total + (pairs * product).sum(dim=(1, 2)), number + pairs.sum(dim=(1, 2))
    return total / number.clamp_min(1.0)


def sharpness(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Gradient energy of an image over that of the photograph it stands for; below 1 it is blurrier.

    Noise and the chequers that deconvolutions leave count as sharp: read it beside `detail`.
    """
    return gradient_product(image, image, region) / gradient_product(photo, photo, region).clamp_min(1e-12)


def detail(
    image: Float[Tensor, "B 3 H W"], photo: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B H W"]
) -> Float[Tensor, "B"]:
    """Share of the photograph's brightness differences that an image repeats in the same place; noise adds nothing."""
    return gradient_product(image, photo, region) / gradient_product(photo, photo, region).clamp_min(1e-12)
