"""Bake values of the vertices into the texels of a layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from mofa3d.export.texture_layout import TextureLayout
from mofa3d.numeric_options import TEXELS, within

if TYPE_CHECKING:
    from pytorch3d.renderer.mesh.rasterizer import Fragments


@runtime_checkable
class Rasterize(Protocol):
    """Finds the nearest face at each pixel centre, as `mofa3d.renderers.cpu_rasterizer.rasterize` does."""

    def __call__(
        self,
        pixels: Float[Tensor, "B N 2"],
        depth: Float[Tensor, "B N"],
        faces: Int[Tensor, "F 3"],
        image_size: int,
        cull_backfaces: bool = False,
        *,
        only_depth: bool = False,
    ) -> Fragments: ...


@dataclass(frozen=True)
class Texels:
    """The texels of a square texture whose centres lie on a triangle.

    Attributes:
        covered: (S, S) which they are, row by row from the top.
        corners: (T, 3) the model's vertices around each covered texel.
        weights: (T, 3) barycentric, float32.
    """

    covered: Bool[np.ndarray, "S S"]
    corners: Int[Tensor, "T 3"]
    weights: Float[Tensor, "T 3"]

    def interpolate(self, values: Float[Tensor, "N C"]) -> Float[Tensor, "T C"]:
        """Values of the model's vertices at the covered texels."""
        return torch.einsum("tk,tkc->tc", self.weights.to(values), values[self.corners])

    def image(self, values: Shaped[np.ndarray, "T C"]) -> Shaped[np.ndarray, "S S C"]:
        """Values of the covered texels as an image, in which every other texel repeats the nearest covered one.

        So neither bilinear sampling across the border of a chart nor a mipmap meets a color that is not the face's.
        """
        return np.take(values, self._nearest, axis=0)  # three times as fast as an index

    @cached_property
    def _nearest(self) -> Int[np.ndarray, "S S"]:
        return nearest_covered(self.covered)


def nearest_covered(covered: Bool[np.ndarray, "S S"]) -> Int[np.ndarray, "S S"]:
    """For each pixel the number of the nearest covered one, counted row by row from 0."""
    outside = (~covered).astype(np.uint8)
    _, label = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    number = np.zeros(label.max() + 1, dtype=np.int64)
    number[label[covered]] = np.arange(int(covered.sum()))
    return number[label]


def find_texels(layout: TextureLayout, size: int, rasterize: Rasterize) -> Texels:
    """Find the surface points that the texels of a texture show.

    Args:
        size: texels along each side.
        rasterize: on the CPU.

    Raises:
        InputError: the texture is smaller than 16 texels, or larger than 4096.
    """
    within("the number of texels along each side of a texture", size, *TEXELS)
    pixels = torch.stack([layout.uv[:, 0], 1 - layout.uv[:, 1]], dim=-1) * size
    fragments = rasterize(pixels[None], torch.ones(1, len(pixels), dtype=torch.float32), layout.faces, size)
    face = fragments.pix_to_face[0, :, :, 0]
    covered = face >= 0
    weights = fragments.bary_coords[0, :, :, 0][covered]
    return Texels(covered.numpy(), layout.source[layout.faces[face[covered]]], weights)


def bake(texels: Texels, colors: Float[Tensor, "N 3"]) -> UInt8[np.ndarray, "S S 3"]:
    """Colors of the vertices (display RGB) as a texture."""
    return texels.image(to_bytes(texels.interpolate(colors.detach().cpu().float()).numpy()))


def to_bytes(colors: Float[np.ndarray, "T 3"]) -> UInt8[np.ndarray, "T 3"]:
    """Display RGB in 0 to 1, clamped, as bytes."""
    return np.round(255 * colors.clip(0, 1)).astype(np.uint8)
