"""Image formation by rasterization: any rasterizer, the shared shading, and samples for the shared photometric loss.

One scene becomes an RGBA image and H·W samples at the pixel centres. A sample counts where the surface covers the pixel
and all three vertices of its face are in the frontal region and in 𝒱; the weights sum to about 1 per image.

The weights are divided by the detached number of counted pixels. Dividing by a constant would reward a face for
shrinking, as Eq. 8 does; this does not. With antialiasing or soft blending the weights follow the covered area
differentiably, so the loss pulls a silhouette inwards where the error is above the loss's `background_cost` and
outwards where it is below: use that with a positive `background_cost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa3d.renderers.shaded_pixels import shade_pixels
from mofa3d.scene import Rendering, Scene

if TYPE_CHECKING:
    from pytorch3d.renderer import BlendParams
    from pytorch3d.renderer.mesh.rasterizer import Fragments


@runtime_checkable
class Rasterizer(Protocol):
    """Finds the faces of a scene at each pixel, leaving out those seen from behind."""

    def __call__(self, scene: Scene) -> Fragments: ...


@runtime_checkable
class Antialias(Protocol):
    """Blends an image (B, H, W, C) of the scene across its silhouettes."""

    def __call__(self, image: Tensor, fragments: Fragments, scene: Scene) -> Tensor: ...


@runtime_checkable
class Interpolate(Protocol):
    """Carries vertex attributes (B, N, D) to the fragments (B, H, W, K, D)."""

    def __call__(self, fragments: Fragments, attributes: Tensor, faces: Tensor) -> Tensor: ...


def shade_fragments(
    fragments: Fragments, scene: Scene, interpolated: Interpolate | None = None
) -> Float[Tensor, "B H W K 3"]:
    """Colors of fragments; on the CPU with one face per pixel in one pass.

    Args:
        interpolated: how vertex attributes reach the fragments; ``None`` means by their barycentric coordinates.
    """
    light = scene.illumination
    if interpolated is None and scene.normals.device.type == "cpu" and fragments.pix_to_face.shape[3] == 1:
        one = fragments.pix_to_face[..., 0], fragments.bary_coords[..., 0, :]
        return shade_pixels(*one, scene.reflectance, scene.normals, light, scene.faces)[..., None, :]
    from mofa3d.renderers.interpolate import interpolate
    from mofa3d.renderers.shader import shade

    attributes = torch.cat([scene.reflectance, scene.normals], dim=-1)
    if interpolated is None:
        values = interpolate(fragments.pix_to_face, fragments.bary_coords, attributes, scene.faces)
    else:
        values = interpolated(fragments, attributes, scene.faces)
    return shade(values[..., :3], values[..., 3:], light)


@dataclass(frozen=True)
class RasterizedRenderer:
    """Rasterize, interpolate reflectance and normals, shade each pixel, blend.

    `Rendering.image` is composed over the background: its RGB holds color·alpha + background·(1 - alpha), clamped to
    0..1. With the black default it is therefore laid over a photograph by ``rgb + (1 - alpha) * photograph``.

    Differentiable: the colors inside the surface; alpha and weights at silhouettes with `antialias` or soft blending.
    Not differentiable: visibility, and which pixels count.

    Attributes:
        rasterize: one face per pixel is blended hard, several softly.
        antialias: for one face per pixel; ``None`` leaves silhouettes as they are.
        background: RGB.
        blend_params: sigma and gamma of soft blending.
        interpolate: see `shade_fragments`.
    """

    rasterize: Rasterizer
    antialias: Antialias | None = None
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blend_params: BlendParams | None = None
    interpolate: Interpolate | None = None

    def __call__(self, scene: Scene) -> Rendering:
        return self.alike([scene])[0]

    def alike(self, scenes: Sequence[Scene]) -> list[Rendering]:
        """Renderings of scenes that differ in reflectance and light only; the surface is rasterized once."""
        with torch.autocast(scenes[0].pixels.device.type, enabled=False):  # pixels need all their digits
            return [_rendering(layer, self.background) for layer in self._layers(scenes)]

    def _layers(self, scenes: Sequence[Scene]) -> list[_Layer]:
        fragments = self.rasterize(scenes[0])
        colors = [shade_fragments(fragments, scene, self.interpolate) for scene in scenes]
        counted = counted_fragments(scenes[0], fragments.pix_to_face).to(colors[0].dtype)
        if colors[0].shape[3] > 1:
            return [self._soft(each, counted, fragments) for each in colors]
        return self._hard([each[..., 0, :] for each in colors], counted, fragments, scenes[0])

    def _hard(self, colors: list[Tensor], counted: Tensor, fragments: Fragments, scene: Scene) -> list[_Layer]:
        covered = (fragments.pix_to_face >= 0).to(counted.dtype)
        if self.antialias is None:
            return [_Layer(each, each, covered, counted) for each in colors]
        image = self.antialias(torch.cat([*colors, covered, counted], dim=-1), fragments, scene)
        *blended, alpha, counted = image.split([3] * len(colors) + [1, 1], dim=-1)
        return [_Layer(each / alpha.clamp_min(1e-6), each, alpha, counted) for each in blended]

    def _soft(self, colors: Tensor, counted: Tensor, fragments: Fragments) -> _Layer:
        from pytorch3d.renderer import BlendParams

        from mofa3d.renderers.shader import blend

        parameters = (self.blend_params or BlendParams())._replace(background_color=(0.0, 0.0, 0.0))
        rgb, alpha = blend(colors, fragments, parameters).split([3, 1], dim=-1)
        # The same sums over fragments of 1 and of `counted`: PyTorch3D blends three channels at a time.
        flags = torch.stack([torch.ones_like(counted), counted, counted], dim=-1)
        surface, counted, _, _ = blend(flags, fragments, parameters).split(1, dim=-1)
        surface = surface.clamp_min(1e-6)
        return _Layer(rgb / surface, rgb / surface * alpha, alpha, counted / surface * alpha)


@dataclass(frozen=True)
class _Layer:
    """The surface as an image (B, H, W, ·): its color, the same times alpha, alpha, and the counted part of alpha."""

    color: Tensor
    premultiplied: Tensor
    alpha: Tensor
    counted: Tensor


def _rendering(layer: _Layer, background: tuple[float, float, float]) -> Rendering:
    batch, height, width, _ = layer.color.shape
    weights = layer.counted.reshape(batch, height * width)
    total = weights.detach().sum(dim=1, keepdim=True).clamp_min(1.0)
    rgb = layer.premultiplied
    if any(background):
        rgb = rgb + (1 - layer.alpha) * rgb.new_tensor(background)
    return Rendering(
        positions=pixel_centres(height, width, like=rgb).expand(batch, -1, -1),
        colors=layer.color.reshape(batch, height * width, 3),
        weights=weights / total,
        image=torch.cat([rgb, layer.alpha], dim=-1).clamp(0.0, 1.0).permute(0, 3, 1, 2),
    )


def counted_fragments(scene: Scene, pix_to_face: Int[Tensor, "B H W K"]) -> Bool[Tensor, "B H W K"]:
    """Which fragments the photometric loss counts: all three vertices of the face in 𝒱 and in the frontal region."""
    if len(scene.faces) == 0 or len(scene) == 0:
        return pix_to_face >= 0
    vertex = scene.front_facing & scene.frontal
    a, b, c = scene.faces.unbind(1)
    face = (vertex[:, a] & vertex[:, b] & vertex[:, c]).flatten()
    return face[pix_to_face.clamp_min(0)] & (pix_to_face >= 0)


def pixel_centres(height: int, width: int, like: Tensor) -> Float[Tensor, "S 2"]:
    """Pixel centres row by row, x right and y down, of the dtype and device of `like`."""
    y, x = (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5 for size in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
