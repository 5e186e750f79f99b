"""A reflectance texture from the photograph: what it shows divided by the light, and elsewhere the model's.

The photograph's reflectance and the model's differ in tone. So at the vertices their ratio is carried on smoothly from
where the photograph shows the face to where it does not, by way of the other half of the face where that is seen, and
multiplied with the model's reflectance: the mouth stays dark. Towards the seam the texture fades from the photograph's
pixels to these vertices, which have the photograph's colors there: no edge is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.photo import Photo, to_tensor
from mofa3d.export.texture import Rasterize, Texels, to_bytes
from mofa3d.fitting.delighting import HIDDEN, LEAST_COSINE, ReflectanceSamples, delight, unoccluded
from mofa3d.models.mesh_fields import fields_of
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene, front_facing

FINER = 4  # pixels of the depth image per pixel of the crop: hair's breadth matters at lids and lips
SURE_COSINE = 0.5  # of the angle to the camera from which the photograph alone counts
KNOWN_COSINE = 0.35  # from which a vertex passes on what it shows; nearer the silhouette lie hair and background
SEAM = 0.012  # of the texture's side over which photograph and model are mixed
KNEE = 0.85  # display RGB above which a texture is pressed together: no skin is lighter, but highlights on it are
DARKEST = 0.02  # display RGB below which a ratio means nothing
SHARPNESS = 6  # how much more a photograph counts that looks at a place more directly
REACH = 40.0  # mm over which the surroundings of a hole give way to the face's average tone


class View(NamedTuple):
    """A photograph of a face.

    Attributes:
        scene: one face fitted to the crop.
        photo: the photograph.
        transform: from the photograph to the crop.
    """

    scene: Scene
    photo: Photo
    transform: CropTransform


def photo_texture(
    views: Sequence[View], model: MorphableModel, texels: Texels, rasterize: Rasterize
) -> UInt8[np.ndarray, "S S 3"]:
    """The reflectance of a reconstructed face as its photographs show it.

    Under a scene's light it is the photograph, but for highlights (see `unclipped`). Of several photographs, each texel
    takes most from the one that looks at it most directly.

    Args:
        views: of one face with one reflectance, in one light and expression each.
        model: whose layout the texels are.
        texels: of the texture.
        rasterize: on the CPU.
    """
    vertices, surface = zip(*(_seen(view, texels, rasterize) for view in views), strict=True)
    known = _together([samples.colors[0] for samples in vertices], [samples.weights[0] for samples in vertices])
    reflectance = views[0].scene.reflectance[0]
    filled = texels.interpolate(filled_reflectance(reflectance, *known, model)).numpy()
    mixes = [torch.from_numpy(_mix(samples.weights[0].numpy(), texels.covered)) for samples in surface]
    straight = [mix * samples.weights[0] for mix, samples in zip(mixes, surface, strict=True)]
    colors, _ = _together([samples.colors[0] for samples in surface], straight)
    mix = torch.stack(mixes).amax(dim=0)[:, None].numpy()
    return texels.image(to_bytes(unclipped(mix * colors.numpy() + (1 - mix) * filled)))


@torch.no_grad()
def _seen(view: View, texels: Texels, rasterize: Rasterize) -> tuple[ReflectanceSamples, ReflectanceSamples]:
    """What a photograph shows of the reflectance at the vertices, and at the texels."""
    scene, transform = view.scene, view.transform
    fine = scene.camera.image_size * FINER
    zbuf = rasterize(scene.pixels * FINER, scene.depth, scene.faces, fine).zbuf[..., 0]
    points = _at_texels(scene, texels)
    image, scale = _shrunk(view.photo, _texels_per_pixel(points, texels) * transform.scale)

    def samples(points: Scene) -> ReflectanceSamples:
        visible = unoccluded(replace(points, pixels=points.pixels * FINER), zbuf, HIDDEN / FINER)
        pixels = transform.to_photo(points.pixels) * points.pixels.new_tensor(scale)
        return delight(replace(points, pixels=pixels), image[None], visible, grey=False)

    return samples(scene), samples(points)


def _together(
    colors: list[Float[Tensor, "K 3"]], weights: list[Float[Tensor, "K"]]
) -> tuple[Float[Tensor, "K 3"], Float[Tensor, "K"]]:
    """Colors that several photographs show, and the best of their weights.

    A mean would blur what does not lie exactly on itself, so that the better view counts for nearly everything.
    """
    if len(colors) == 1:
        return colors[0], weights[0]
    best = torch.stack(weights).amax(dim=0)
    shares = [(weight / best.clamp_min(1e-6)) ** SHARPNESS for weight in weights]
    total = torch.stack(shares).sum(dim=0).clamp_min(1e-6)
    mixed = torch.stack([(share / total)[:, None] * color for share, color in zip(shares, colors, strict=True)])
    return mixed.sum(dim=0), best


def unclipped(colors: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    """Colors of which none is above 1: highlights of a photograph divided by its light can be any number.

    All channels of a texel are pressed together by one factor, so that the skin keeps its color.
    """
    brightest = colors.max(axis=1, keepdims=True).clip(KNEE)
    room = 1 - KNEE
    pressed = KNEE + room * (1 - np.exp(-(brightest - KNEE) / room))
    return colors * pressed / brightest


def _shrunk(photo: Photo, scale: float) -> tuple[Float[Tensor, "3 height width"], tuple[float, float]]:
    """The photograph reduced by about a factor, if that is below 1, by averaging, and the factors of x and y.

    Sampled bilinearly at fewer points than it has pixels, its fine texture would alias.
    """
    height, width = photo.shape[:2]
    if scale >= 1:
        return to_tensor(photo), (1.0, 1.0)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    return to_tensor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA)), (size[0] / width, size[1] / height)


def _at_texels(scene: Scene, texels: Texels) -> Scene:
    """The surface points of the texels as a scene without triangles, as far as `delight` looks at it."""
    attributes = torch.cat([scene.positions, scene.normals], dim=2)
    positions, normals = texels.interpolate(attributes[0])[None].split(3, dim=2)
    normals = torch.nn.functional.normalize(normals, dim=2)
    nothing = positions.new_zeros(()).expand_as(positions)
    return replace(
        scene,
        faces=scene.faces[:0],
        frontal=torch.ones(len(texels.corners), dtype=torch.bool),
        vertices=nothing,
        reflectance=nothing,
        positions=positions,
        normals=normals,
        front_facing=front_facing(positions, normals, scene.camera),
        pixels=scene.camera.project(positions),
        colors=nothing,
    )


def _texels_per_pixel(points: Scene, texels: Texels) -> float:
    """Texels along one pixel of the crop, for the typical texel that faces the camera."""
    place, pixels = np.flatnonzero(texels.covered), points.pixels[0].double().numpy()
    beside = (np.diff(place) == 1) & (place[1:] % texels.covered.shape[1] > 0)
    step = np.linalg.norm(pixels[1:][beside] - pixels[:-1][beside], axis=1)
    return float(1 / np.median(step))


def filled_reflectance(
    reflectance: Float[Tensor, "N 3"], colors: Float[Tensor, "N 3"], weights: Float[Tensor, "N"], model: MorphableModel
) -> Float[Tensor, "N 3"]:
    """Reflectance of all vertices: the photograph's where it is known, the model's carried over elsewhere."""
    known = (weights > KNOWN_COSINE).numpy()
    if not known.any():
        return reflectance
    logarithm = torch.log(colors.clamp_min(DARKEST) / reflectance.clamp_min(DARKEST)).double().numpy()
    far = np.median(logarithm[known], axis=0)
    fields = fields_of(model)
    reached = ~known & known[fields.mirror]
    logarithm[reached] = logarithm[fields.mirror[reached]]
    reached |= known
    if not reached.all():
        logarithm = fields.extend(logarithm, reached, far, REACH)
    carried = reflectance * torch.from_numpy(np.exp(logarithm)).to(reflectance)
    return torch.where(torch.from_numpy(known)[:, None], colors, carried)


def _mix(weights: Float[np.ndarray, "T"], covered: Bool[np.ndarray, "S S"]) -> Float[np.ndarray, "T"]:
    """Share of the photograph in each texel: less towards grazing views, and towards the border of what is seen."""
    hidden = np.zeros(covered.shape, dtype=bool)
    hidden[covered] = weights == 0
    distance = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, 5)[covered]
    ramp = ((weights - LEAST_COSINE) / (SURE_COSINE - LEAST_COSINE)).clip(0, 1)
    ramp = ramp * (distance / (SEAM * len(covered))).clip(0, 1)
    return ramp * ramp * (3 - 2 * ramp)
