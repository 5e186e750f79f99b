"""From photographs and fitted faces to samples of the reflectance: what a photograph shows, divided by its light."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa3d import harmonics
from mofa3d.camera import inside, sample
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene

DARKEST_LIGHT = 0.25  # irradiance below which a division says more of the light's errors than of the skin
LEAST_COSINE = 0.2  # of the angle to the camera at which a vertex is still sampled
BRIGHTEST = 1.5  # display RGB of a sample; above it the light is wrong
HIDDEN = 4.0  # mm behind the nearest surface from which a vertex is hidden; less would be the pixels' own coarseness
DARKEST = 0.02  # display RGB below which a ratio means nothing
HUE = 0.25  # how far apart the logarithms of the channels' ratios may be; teeth come to 0.15, lips on them to 0.4
LEVEL = 0.4  # how far their mean may be from that of the face; white cloth on light skin comes to 0.57
SATURATED = 0.98  # display RGB from which a photograph is overexposed, or the skin shines


class ReflectanceSamples(NamedTuple):
    """Reflectance seen in photographs.

    Attributes:
        colors: (B, N, 3) display RGB; anything finite where the weight is 0.
        weights: (B, N) 0 to 1: 0 where the vertex is not seen, else the cosine of its angle to the camera.
    """

    colors: Float[Tensor, "B N 3"]
    weights: Float[Tensor, "B N"]


def front_light(scene: Scene) -> Float[Tensor, "B"]:
    """Mean irradiance, over the three channels too, of the frontal vertices that look at the camera."""
    counted = (scene.front_facing & scene.frontal)[..., None]
    irradiance = harmonics.irradiance(scene.normals, scene.illumination) * counted
    return irradiance.sum(dim=(1, 2)) / (3 * counted.sum(dim=(1, 2)).clamp_min(1))


def divide_light(illumination: Float[Tensor, "B 9 3"], factor: Float[Tensor, "B 3"]) -> Float[Tensor, "B 9 3"]:
    """The code of the light that `delight` takes for white, each channel divided; the ambient of code 0 included."""
    ambient = torch.zeros_like(illumination)
    ambient[:, 0] = harmonics.AMBIENT
    white = (illumination + ambient).mean(dim=2, keepdim=True)
    return white / factor[:, None] - ambient


def delight(
    scene: Scene, images: Float[Tensor, "B 3 H W"], visible: Bool[Tensor, "B N"], grey: bool = True
) -> ReflectanceSamples:
    """Sample photographs at the visible vertices of faces fitted to them, and divide by the faces' light.

    Args:
        scene: the fitted faces.
        images: RGB in 0 to 1.
        visible: vertices that nothing hides.
        grey: replace the light by the mean of its three channels: a color cast of the light then stays in the samples,
            instead of being removed as far as the fit explained it by the light.

    Reference: Tewari et al. 2018, "Self-supervised Multi-level Face Model Learning for Monocular Reconstruction at over
    250 Hz", learns a reflectance model from such samples implicitly.
    """
    light = scene.illumination
    if grey:
        light = light.mean(dim=2, keepdim=True).expand(-1, -1, 3)
    irradiance = harmonics.irradiance(scene.normals, light)
    seen = sample(images, scene.pixels).transpose(1, 2)
    colors = seen / irradiance.clamp_min(DARKEST_LIGHT)
    cosine = facing(scene)
    good = visible & (cosine > LEAST_COSINE) & (irradiance.amin(dim=2) > DARKEST_LIGHT)
    good = good & inside(scene.pixels, images)
    good = good & (seen.amax(dim=2) < SATURATED) & (colors.amax(dim=2) < BRIGHTEST)
    return ReflectanceSamples(colors.clamp(0, BRIGHTEST), cosine.clamp(0, 1) * good)


def unoccluded(scene: Scene, zbuf: Float[Tensor, "B H W"], tolerance: float = HIDDEN) -> Bool[Tensor, "B N"]:
    """Which vertices look at the camera and are hidden by nothing of the face itself.

    Args:
        scene: the faces.
        zbuf: distance from the camera's plane of what each pixel shows, mm; negative where it shows no face.
        tolerance: mm that a vertex may lie behind what its pixel shows.
    """
    height, width = zbuf.shape[1:]
    column = scene.pixels[..., 0].floor().long().clamp(0, width - 1)
    row = scene.pixels[..., 1].floor().long().clamp(0, height - 1)
    nearest = zbuf.flatten(1).gather(1, row * width + column)
    return scene.front_facing & ((nearest < 0) | (scene.depth < nearest + tolerance))


def facing(scene: Scene) -> Float[Tensor, "B N"]:
    """Cosine of the angle between each vertex's normal and the direction to the camera."""
    to_camera = -scene.positions
    to_camera = torch.stack(
        [to_camera[..., 0], to_camera[..., 1], scene.camera.rest_distance + to_camera[..., 2]], dim=-1
    )
    return (scene.normals * torch.nn.functional.normalize(to_camera, dim=-1)).sum(dim=-1)


def symmetrize(samples: ReflectanceSamples, mirror: Int[Tensor, "N"]) -> ReflectanceSamples:
    """Average each vertex with its mirror image, so that each side of a turned face fills in for the other.

    What is left of light from one side then cancels.
    """
    colors, weights = samples
    both = weights + weights[:, mirror]
    total = weights[..., None] * colors + (weights[..., None] * colors)[:, mirror]
    return ReflectanceSamples(total / both[..., None].clamp_min(1e-6), both / 2)


def of_everybody(model: MorphableModel) -> Bool[Tensor, "N"]:
    """The vertices whose reflectance is the same in all people, as that of teeth is; none if all of a model's are."""
    fixed = (model.reflectance_basis == 0).flatten(1).all(dim=1).cpu()
    return fixed if not fixed.all() else torch.zeros_like(fixed)


def typical_ratio(
    samples: ReflectanceSamples, reflectance: Float[Tensor, "N 3"], counted: Bool[Tensor, "N"]
) -> Float[Tensor, "3"]:
    """Logarithm of what a photograph shows over the model's reflectance, the median of the vertices that count."""
    ratio = _logarithm(samples.colors[0], reflectance)[counted]
    return ratio.median(dim=0).values if len(ratio) else ratio.new_zeros(3)


def without_foreign(
    samples: ReflectanceSamples,
    reflectance: Float[Tensor, "K 3"],
    fixed: Bool[Tensor, "K"],
    bare: Bool[Tensor, "K"],
    typical: Float[Tensor, "3"],
) -> ReflectanceSamples:
    """The samples less those that show something else than what the model has there.

    A reconstructed mouth opens a little more or less than the photographed one. Where it opens more, the photograph has
    its lip where the model has its teeth; teeth in the lip's color then shine through every expression that shows them.
    Scalp and neck are bare in the model, and in the photograph hair and collars lie over them.

    Args:
        samples: of one face.
        reflectance: the model's at the same places.
        fixed: where it is the same in all people: another hue is foreign there.
        bare: where there is nothing but skin: another hue or another lightness is foreign there.
        typical: see `typical_ratio`; by so much all of the photograph may differ.
    """
    ratio = _logarithm(samples.colors[0], reflectance) - typical
    hue = ratio.amax(dim=1) - ratio.amin(dim=1) > HUE
    level = ratio.mean(dim=1).abs() > LEVEL
    foreign = ((fixed | bare) & hue) | (bare & level)
    return ReflectanceSamples(samples.colors, samples.weights * ~foreign)


def _logarithm(colors: Float[Tensor, "K 3"], reflectance: Float[Tensor, "K 3"]) -> Float[Tensor, "K 3"]:
    return torch.log(colors.clamp_min(DARKEST) / reflectance.clamp_min(DARKEST))
