"""The colors of an edited face, carried over from its photograph.

Every pixel of the edited face shows a point of the surface, and the photograph shows that point somewhere else, in the
old light. So the photograph is looked up there and multiplied by new over old irradiance and reflectance. Points that
it does not show, such as the far cheek of a face that turns to the camera, take their reflectance from the other half
of the face or from the model.

Reference: Liu, Shan and Zhang 2001, "Expressive Expression Mapping with Ratio Images".
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa3d import harmonics
from mofa3d.export.photo_texture import filled_reflectance
from mofa3d.export.texture import nearest_covered
from mofa3d.fitting.delighting import LEAST_COSINE, delight, facing, unoccluded
from mofa3d.morphable_model import MorphableModel, _mouth
from mofa3d.pictures.views import recolored
from mofa3d.scene import Renderer, Scene

STRETCHED = (0.12, 0.4)  # cosine of a point's old view over that of its new one: too grazing, and sure
DARKEST = 0.1  # irradiance or reflectance below which a ratio says more of errors than of either
RATIO = 4.0  # at most; at least its inverse
STILL = 1e-3  # pixels
MOUTH_LIGHT = 0.5  # of the light that skin gets reaches the inside of the mouth


class CarriedFace(NamedTuple):
    """What is inside the mask; outside of it everything repeats the nearest pixel of the face.

    Attributes:
        colors: display RGB, not clamped.
        ratio: of new to old light and reflectance.
    """

    colors: Float[np.ndarray, "S S 3"]
    ratio: Float[np.ndarray, "S S 3"]


def carry(
    image: Float[np.ndarray, "S S 3"], old: Scene, new: Scene, model: MorphableModel, sharp: Renderer
) -> CarriedFace:
    """Draw an edited face in the colors of its photograph.

    Args:
        image: display RGB.
        old: the face as the image shows it.
        new: as it is to be; both of one face, with pixels of the image.
        model: of the face.
        sharp: a raster backend without antialiasing.
    """
    size = old.camera.image_size
    seen = _seen(old, sharp)
    moved = 0.5 + (old.pixels - new.pixels) / (2 * size)
    drawn = _draw(new, torch.cat([moved, _share(old, new, seen)[..., None]], dim=2), sharp)
    if drawn is None:
        return CarriedFace(image, np.ones_like(image))
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    places = (columns + (2 * drawn[..., 0] - 1) * size, rows + (2 * drawn[..., 1] - 1) * size)
    shown = cv2.remap(image, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light, before = _light(new), _light(old)
    skin = new.reflectance.clamp_min(DARKEST) / old.reflectance.clamp_min(DARKEST)
    # Where one drawing shows the face, all of the same scene do.
    lighter = (skin * light / before).clamp(1 / RATIO, RATIO) / RATIO
    ratio = RATIO * cast(np.ndarray, _draw(new, lighter, sharp))
    colors, weights = delight(old, torch.from_numpy(image).permute(2, 0, 1)[None], seen, grey=False)
    filled = skin[0] * filled_reflectance(old.reflectance[0], colors[0], weights[0], model)
    filled = torch.where(_mouth(model), MOUTH_LIGHT * filled, filled)
    unseen = cast(np.ndarray, _draw(new, (filled * light).clamp(0, 1), sharp))
    # Single vertices that are hidden or dark would show as dots.
    smooth = [cv2.medianBlur(np.ascontiguousarray(part), 5) for part in (drawn[..., 2], ratio, unseen)]
    share = smooth[0][..., None]
    return CarriedFace(share * shown * smooth[1] + (1 - share) * smooth[2], smooth[1])


def same_place(old: Scene, new: Scene) -> bool:
    """Whether every vertex is where it was."""
    return bool((old.pixels - new.pixels).abs().max() < STILL)


def _draw(scene: Scene, values: Float[Tensor, "1 N 3"], sharp: Renderer) -> Float[np.ndarray, "S S 3"] | None:
    """Values of the vertices in 0 to 1 at every pixel, without any light; ``None`` where no pixel shows the face."""
    even = torch.zeros_like(scene.illumination)
    even[:, 0] = 1 - harmonics.AMBIENT
    rgba = sharp(recolored(scene, values, even)).require_image()[0].permute(1, 2, 0).numpy()
    covered = rgba[..., 3] > 0.5
    return rgba[..., :3][covered][nearest_covered(covered)] if covered.any() else None


def _light(scene: Scene) -> Float[Tensor, "1 N 3"]:
    """Irradiance of the vertices; for those that look away, nobody has seen it, and it is the rim's."""
    away = (LEAST_COSINE - facing(scene)).clamp_min(0)[..., None]
    normals = scene.normals + away * scene.normals.new_tensor([0.0, 0.0, 1.0])
    normals = torch.nn.functional.normalize(normals, dim=2)
    return harmonics.irradiance(normals, scene.illumination).clamp_min(DARKEST)


def _seen(scene: Scene, sharp: Renderer) -> Bool[Tensor, "1 N"]:
    """Which vertices the photograph shows."""
    near, far = scene.depth.amin(), scene.depth.amax()
    relative = (scene.depth - near) / (far - near).clamp_min(1e-6)
    drawn = _draw(scene, relative[..., None].expand(-1, -1, 3), sharp)
    if drawn is None:
        return scene.front_facing
    # On a slope a neighbouring pixel already lies millimetres deeper.
    deepest = cv2.dilate(np.ascontiguousarray(drawn[..., 0]), np.ones((3, 3), np.uint8))
    return unoccluded(scene, torch.from_numpy(deepest[None]) * (far - near) + near)


def _share(old: Scene, new: Scene, seen: Bool[Tensor, "1 N"]) -> Float[Tensor, "1 N"]:
    """Share of the photograph in each vertex's color: less where it was seen more grazingly than it will be."""
    if same_place(old, new):
        return torch.ones_like(old.depth)
    low, high = STRETCHED
    angles = facing(old).clamp_min(0) / facing(new).clamp_min(LEAST_COSINE)
    return ((angles - low) / (high - low)).clamp(0, 1) * seen
