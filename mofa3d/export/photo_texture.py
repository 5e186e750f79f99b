"""A reflectance texture from the photograph: what it shows divided by the light, and elsewhere the model's.

The photograph's reflectance and the model's differ in tone. So at the vertices their ratio is carried on smoothly from
where the photograph shows the face to where it does not, by way of the other half of the face where that is seen, and
multiplied with the model's reflectance: the mouth stays dark. Towards the seam the texture fades from the photograph's
pixels to these vertices, which have the photograph's colors there: no edge is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.photo import Photo
from mofa3d.export.texel_kernels import blend, see
from mofa3d.export.texture import Rasterize, Texels
from mofa3d.fitting.delighting import (
    BRIGHTEST,
    DARKEST,
    DARKEST_LIGHT,
    HIDDEN,
    LEAST_COSINE,
    SATURATED,
    ReflectanceSamples,
    of_everybody,
    typical_ratio,
    without_foreign,
)
from mofa3d.harmonics import polynomial
from mofa3d.kernels import parallel
from mofa3d.models.mesh_fields import fields_of
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene

FINER = 4  # pixels of the depth image per pixel of the crop: hair's breadth matters at lids and lips
SURE_COSINE = 0.5  # of the angle to the camera from which the photograph alone counts
KNOWN_COSINE = 0.35  # from which a vertex passes on what it shows; nearer the silhouette lie hair and background
SEAM = 0.012  # of the texture's side over which photograph and model are mixed
KNEE = 0.85  # display RGB above which a texture is pressed together: no skin is lighter, but highlights on it are
SHARPNESS = 6  # how much more a photograph counts that looks at a place more directly
TYPICAL = 8000  # texels that are looked at to find the size of a typical one
FEWEST = 10  # vertices of teeth and tongue that tell how light these are
REACH = 40.0  # mm over which the surroundings of a hole give way to the face's average tone


_known_fixed: WeakKeyDictionary[MorphableModel, Tensor] = WeakKeyDictionary()


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

    Under a scene's light it is the photograph, but for highlights: all channels of a texel above `KNEE` are pressed
    together by one factor to below 1, so that the skin keeps its color. Of several photographs, each texel takes most
    from the one that looks at it most directly.

    Args:
        views: of one face with one reflectance, in one light and expression each.
        model: whose layout the texels are.
        texels: of the texture.
        rasterize: on the CPU.
    """
    fixed = _fixed(model)
    vertices, surface = zip(*(_own(view, fixed, texels, rasterize) for view in views), strict=True)
    known = _together([samples.colors[0] for samples in vertices], [samples.weights[0] for samples in vertices])
    filled = filled_reflectance(views[0].scene.reflectance[0], *known, model)
    mixes = [torch.from_numpy(_mix(samples.weights[0].numpy(), texels.covered)) for samples in surface]
    straight = [mix * samples.weights[0] for mix, samples in zip(mixes, surface, strict=True)]
    colors, _ = _together([samples.colors[0] for samples in surface], straight)
    mix = mixes[0] if len(mixes) == 1 else torch.stack(mixes).amax(dim=0)
    return texels.image(_blended(texels, filled, colors, mix))


def _fixed(model: MorphableModel) -> Bool[Tensor, "N"]:
    """`of_everybody`, kept for as long as the model is there: it looks at all of its modes."""
    found = _known_fixed.get(model)
    if found is None:
        found = _known_fixed[model] = of_everybody(model)
    return found


def _own(
    view: View, fixed: Bool[Tensor, "N"], texels: Texels, rasterize: Rasterize
) -> tuple[ReflectanceSamples, ReflectanceSamples]:
    """`_seen` less what is not the head's own: lips where the model has its teeth, hair and collars beside the face."""
    vertices, surface = _seen(view, texels, rasterize)
    reflectance = view.scene.reflectance[0].cpu()
    typical = typical_ratio(vertices, reflectance, ~fixed & (vertices.weights[0] > KNOWN_COSINE))
    bare = ~fixed & ~view.scene.frontal.cpu()
    inner = torch.nonzero((fixed | bare)[texels.corners[:, 0]] & (surface.weights[0] > 0)).squeeze(1)
    corners = texels.corners[inner]
    there = Texels(texels.covered, corners, texels.weights[inner])
    some = ReflectanceSamples(surface.colors[:, inner], surface.weights[:, inner])
    kinds = fixed[corners[:, 0]], bare[corners[:, 0]]
    own = without_foreign(vertices, reflectance, fixed, bare, typical)
    beside = bare & _beside((vertices.weights[0] > 0) & (own.weights[0] == 0), view.scene.faces.cpu())
    own.weights[:, beside] = 0
    kept = without_foreign(some, there.interpolate(reflectance), *kinds, typical).weights
    surface.weights[:, inner] = kept * ~beside[corners].any(dim=1)
    return own, surface


def _beside(chosen: Bool[Tensor, "N"], faces: Int[Tensor, "F 3"]) -> Bool[Tensor, "N"]:
    """The corners of all triangles with a chosen one: what is left between those that are dropped would be dots."""
    grown = torch.zeros_like(chosen)
    grown[faces[chosen[faces].any(dim=1)]] = True
    return grown


@torch.no_grad()
def _seen(view: View, texels: Texels, rasterize: Rasterize) -> tuple[ReflectanceSamples, ReflectanceSamples]:
    """What a photograph shows of the reflectance at the vertices, and at the texels."""
    scene, transform = view.scene, view.transform
    camera, count = scene.camera, scene.positions.shape[1]
    fine = camera.image_size * FINER
    depth = rasterize(scene.pixels * FINER, scene.depth, scene.faces, fine, cull_backfaces=True, only_depth=True)
    photo, scale = _shrunk(view.photo, _texels_per_pixel(scene, texels) * transform.scale)
    given = (
        _numbers(torch.cat([scene.positions[0], scene.normals[0]], dim=1)),
        _numbers(polynomial(scene.illumination[0])),
        _each(camera.image_size / 2, camera.focal, camera.rest_distance, FINER, HIDDEN / FINER),
        _each(*(transform.matrix * np.array(scale)[:, None]).flat),
        _each(LEAST_COSINE, DARKEST_LIGHT, SATURATED, BRIGHTEST),
        _numbers(depth.zbuf[0, ..., 0]),
        np.require(photo, requirements=["C", "W"]),  # for numba, an array that cannot be written is another type
    )
    themselves = torch.arange(count)[:, None].expand(-1, 3).contiguous()
    alone = torch.eye(3, dtype=torch.float32)[0].repeat(count, 1)
    return _samples(themselves, alone, given), _samples(texels.corners, texels.weights, given)


def _samples(corners: Int[Tensor, "T 3"], shares: Float[Tensor, "T 3"], given: tuple) -> ReflectanceSamples:
    """`see` on as many threads as there are."""
    colors = torch.empty(len(corners), 3, dtype=torch.float32)
    weights = torch.empty(len(corners), dtype=torch.float32)
    arrays = [array.numpy() for array in (corners, shares, colors, weights)]

    def see_band(first: int, last: int) -> None:
        points, parts, *found = (array[first:last] for array in arrays)
        see(points, parts, *given, *found)

    parallel.run(see_band, parallel.split_rows(len(corners), 1))
    return ReflectanceSamples(colors[None], weights[None])


def _blended(
    texels: Texels, filled: Float[Tensor, "N 3"], colors: Float[Tensor, "T 3"], mix: Float[Tensor, "T"]
) -> UInt8[np.ndarray, "T 3"]:
    """`blend` on as many threads as there are."""
    texture = np.empty(colors.shape, dtype=np.uint8)

    def blend_band(first: int, last: int) -> None:
        rows = slice(first, last)
        points = texels.corners[rows].numpy(), texels.weights[rows].numpy()
        blend(*points, _numbers(filled), colors[rows].numpy(), mix[rows].numpy(), *_each(KNEE), texture[rows])

    parallel.run(blend_band, parallel.split_rows(len(texture), 1))
    return texture


def _numbers(values: Tensor) -> np.ndarray:
    """As the kernels take them."""
    return values.detach().cpu().float().contiguous().numpy()


def _each(*values: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)


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


def _shrunk(photo: Photo, scale: float) -> tuple[UInt8[np.ndarray, "height width 3"], tuple[float, float]]:
    """The photograph reduced by about a factor, if that is below 1, by averaging, and the factors of x and y.

    Sampled bilinearly at fewer points than it has pixels, its fine texture would alias.
    """
    height, width = photo.shape[:2]
    if scale >= 1:
        return photo, (1.0, 1.0)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA), (size[0] / width, size[1] / height)


def _texels_per_pixel(scene: Scene, texels: Texels) -> float:
    """Texels along one pixel of the crop, for the typical texel."""
    place = np.flatnonzero(texels.covered)
    chosen = np.arange(0, len(place) - 1, max(1, len(place) // TYPICAL))
    beside = (place[chosen + 1] - place[chosen] == 1) & (place[chosen + 1] % texels.covered.shape[1] > 0)
    pair = torch.from_numpy(np.stack([chosen[beside], chosen[beside] + 1]).ravel())
    points = Texels(texels.covered, texels.corners[pair], texels.weights[pair]).interpolate(scene.positions[0])
    here, there = scene.camera.project(points).double().chunk(2)
    return float(1 / (there - here).norm(dim=1).median())


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
        # A row of teeth that nothing shows is as light as the other one, which shines less than a face. Its hue is the
        # face's: at the tongue, for one, a photograph may have teeth.
        inner = ~fields.connected_to(~_fixed(model).numpy())
        if (inner & known).sum() >= FEWEST:
            hidden = inner & ~fields.connected_to(reached)
            logarithm[hidden] = far + (np.median(logarithm[inner & known], axis=0) - far).mean()
    carried = reflectance * torch.from_numpy(np.exp(logarithm)).to(reflectance)
    return torch.where(torch.from_numpy(known)[:, None], colors, carried)


def _mix(weights: Float[np.ndarray, "T"], covered: Bool[np.ndarray, "S S"]) -> Float[np.ndarray, "T"]:
    """Share of the photograph in each texel: less towards grazing views, and towards the border of what is seen."""
    shown = np.ones(covered.shape, dtype=np.uint8)
    shown[covered] = weights > 0
    distance = cv2.distanceTransform(shown, cv2.DIST_L2, 5)[covered]
    ramp = ((weights - LEAST_COSINE) / (SURE_COSINE - LEAST_COSINE)).clip(0, 1)
    ramp *= np.minimum(distance / (SEAM * len(covered)), 1)
    return ramp * ramp * (3 - 2 * ramp)
