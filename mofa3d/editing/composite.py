"""Draw an edited face into its photograph, with the photograph's own detail.

The face takes its colors from the photograph (`mofa3d.editing.ratio_image`). Around it the photograph is stretched, so
that the face's old outline comes to lie on its new one, and the skin beside it takes part in a change of light
(`mofa3d.editing.background`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from mofa3d.camera import Camera
from mofa3d.data.photo import Photo, is_grey, to_tensor
from mofa3d.editing.background import spread_light, stretch
from mofa3d.editing.ratio_image import carry, same_place
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.scene import Renderer, Scene

MARGIN = 0.6  # of the crop's side around it that may change


@dataclass(frozen=True)
class Window:
    """A square of whole pixels of a photograph, which may reach out of it.

    Attributes:
        left, top, size: in the photograph's pixels.
    """

    left: int
    top: int
    size: int

    def cut(self, photo: Photo) -> UInt8[np.ndarray, "S S 3"]:
        """The square, with the photograph's borders repeated outside."""
        height, width = photo.shape[:2]
        rows = np.arange(self.top, self.top + self.size).clip(0, height - 1)
        columns = np.arange(self.left, self.left + self.size).clip(0, width - 1)
        return np.ascontiguousarray(photo[rows][:, columns])

    def put(self, photo: Photo, square: UInt8[np.ndarray, "S S 3"]) -> Photo:
        """A copy of the photograph with the square in its place."""
        height, width = photo.shape[:2]
        rows, columns = (
            slice(max(start, 0), max(min(start + self.size, length), 0))
            for start, length in ((self.top, height), (self.left, width))
        )
        changed = photo.copy()
        inside = square[rows.start - self.top : rows.stop - self.top]
        changed[rows, columns] = inside[:, columns.start - self.left : columns.stop - self.left]
        return changed


@torch.no_grad()
def composite(
    photo: Photo, found: Reconstruction, edited: Scene, model: MorphableModel, render: Renderer, sharp: Renderer
) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph with the edited face in place of its own; one without color stays without.

    Args:
        photo: the whole photograph.
        found: the face in it.
        edited: what the decoder makes of the edited code. Where it equals the old scene the photograph stays as it is.
        model: of the face.
        render: a raster backend with a black background, as ``make_renderer("cpu")``, which gives the mask.
        sharp: the same without antialiasing, which would mix the places of points that only seem to be neighbours.
    """
    side = found.scene.camera.image_size / found.transform.scale
    centre = found.transform.to_photo(np.full(2, found.scene.camera.image_size / 2)).tolist()
    left, top = (math.floor(place - (0.5 + MARGIN) * side) for place in centre)
    window = Window(left, top, math.ceil((1 + 2 * MARGIN) * side) + 1)
    old, new = (_in_window(scene, found, window) for scene in (found.scene, edited))
    square = window.cut(photo)
    image = to_tensor(square).permute(1, 2, 0).numpy()
    mask = render(new).require_image()[0, 3].numpy()
    face = carry(image, old, new, model, sharp)
    before = render(old).require_image()[0, 3].numpy() > 0.5
    around = image if same_place(old, new) else stretch(image, before, mask > 0.5)
    around = around * spread_light(face.ratio, around, mask > 0.5)
    mixed = mask[..., None] * face.colors + (1 - mask[..., None]) * around
    if is_grey(square):
        mixed = image + cv2.cvtColor((mixed - image).astype(np.float32), cv2.COLOR_RGB2GRAY)[..., None]
    return window.put(photo, np.round(255 * mixed.clip(0, 1)).astype(np.uint8))


def _in_window(scene: Scene, found: Reconstruction, window: Window) -> Scene:
    pixels = found.transform.to_photo(scene.pixels) - scene.pixels.new_tensor([window.left, window.top])
    return replace(scene, camera=Camera(window.size, scene.camera.focal, scene.camera.rest_distance), pixels=pixels)
