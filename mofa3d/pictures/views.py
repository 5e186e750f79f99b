"""Pictures of reconstructions: overlay, geometry, reflectance and illumination."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa3d import harmonics
from mofa3d.scene import Renderer, Scene, render_alike

CLAY = 0.75  # reflectance of geometry pictures
GREY = 0.5  # of illumination pictures: light on skin is often above 1, and would come out as plain white on clay
COLUMNS = ("photograph", "overlay", "geometry", "reflectance", "illumination")


def overlay(scene: Scene, render: Renderer, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """The overlay: the reconstructed face drawn over its photograph."""
    return _over(render(scene).require_image(), image)


def geometry(scene: Scene, render: Renderer) -> Float[Tensor, "B 3 H W"]:
    """The surface in grey clay under one lamp from above, on white."""
    return _over(render(clay(scene)).require_image(), 1.0)


def clay(scene: Scene) -> Scene:
    """The same geometry in grey clay under one lamp from above."""
    lamp = torch.nn.functional.normalize(scene.positions.new_tensor([[0.3, 0.5, 1.0]]), dim=-1)
    light = _ambient(scene, 0.2) + 0.27 * harmonics.basis(lamp).transpose(0, 1)
    return recolored(scene, CLAY, light)


def reflectance(scene: Scene, render: Renderer) -> Float[Tensor, "B 3 H W"]:
    """The reflectance without any shading, on white."""
    return _over(render(unshaded(scene)).require_image(), 1.0)


def illumination(scene: Scene, render: Renderer) -> Float[Tensor, "B 3 H W"]:
    """The estimated light on a grey face, on white."""
    return _over(render(grey(scene)).require_image(), 1.0)


def unshaded(scene: Scene) -> Scene:
    """The same geometry and reflectance without any shading."""
    return recolored(scene, scene.reflectance, _ambient(scene, 1.0))


def grey(scene: Scene) -> Scene:
    """The same geometry in grey under the same light."""
    return recolored(scene, GREY, scene.illumination)


def recolored(scene: Scene, reflectance: Tensor | float, illumination: Float[Tensor, "*B 9 3"]) -> Scene:
    """The same geometry with other colors and light."""
    reflectance = torch.as_tensor(reflectance).to(scene.reflectance).expand_as(scene.reflectance)
    illumination = illumination.to(scene.illumination).expand_as(scene.illumination)
    colors = reflectance * harmonics.irradiance(scene.normals, illumination)
    return replace(scene, reflectance=reflectance, illumination=illumination, colors=colors)


def _ambient(scene: Scene, level: float) -> Float[Tensor, "9 3"]:
    light = scene.illumination.new_zeros(9, 3)
    light[0] = level - harmonics.AMBIENT
    return light


def _over(rgba: Float[Tensor, "B 4 H W"], background: Tensor | float) -> Float[Tensor, "B 3 H W"]:
    """Compose a rendering, whose RGB is already multiplied by alpha, over a background."""
    return (rgba[:, :3] + (1 - rgba[:, 3:]) * background).clamp(0, 1)


@torch.no_grad()
def panels(
    scene: Scene, render: Renderer, image: Float[Tensor, "B 3 H W"], laid: Float[Tensor, "B 3 H W"] | None = None
) -> UInt8[np.ndarray, "B H W5 3"]:
    """One row per face: photograph, overlay, geometry, reflectance, illumination.

    Args:
        laid: the overlay, if it is there already.
    """
    laid = overlay(scene, render, image) if laid is None else laid
    drawn = render_alike(render, [clay(scene), unshaded(scene), grey(scene)])
    parts = [_over(each.require_image(), 1.0) for each in drawn]
    return to_bytes(torch.cat([image, laid, *parts], dim=3))


def to_bytes(image: Float[Tensor, "B 3 H W"]) -> UInt8[np.ndarray, "B H W 3"]:
    """Images in 0 to 1 as 8-bit arrays with the color last."""
    return (255 * image.clamp(0, 1)).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
