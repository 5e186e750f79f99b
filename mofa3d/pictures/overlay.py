"""Lay what was rendered in a crop back over the photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.photo import Photo, is_grey
from mofa3d.pictures.in_front import in_front
from mofa3d.scene import Renderer, Rendering, Scene, render_alike

FARTHEST = 1.0  # sides of a crop beyond which nothing is drawn: no head reaches there


@dataclass(frozen=True)
class Layer:
    """A rendered head that is to be laid over its photograph.

    Attributes:
        rgba: 0 to 1, colors multiplied by alpha, as renderers with a black background give them.
        crop: its side, pixels.
        transform: from the photograph to the crop.
        margin: pixels that `rgba` has more on each side.
        landmarks: of the head, pixels of `rgba`.
    """

    rgba: Float[np.ndarray, "S S 4"]
    crop: int
    transform: CropTransform
    margin: int
    landmarks: Float[np.ndarray, "68 2"]

    def hidden(self, photo: Photo) -> Float[np.ndarray, "S S"]:
        """What the photograph shows something else of; see `in_front`."""
        part = resample(photo, self.transform.padded(self.margin), len(self.rgba))
        return in_front(part, self.rgba, self.landmarks, self.crop)

    def behind(self, hidden: Float[np.ndarray, "T T"]) -> Layer:
        """The same without what is hidden of another head in the same crop, whose margin may be another one."""
        more = (len(self.rgba) - len(hidden)) // 2
        inside = slice(max(-more, 0), len(hidden) - max(-more, 0))
        share = np.pad(hidden[inside, inside], max(more, 0))
        return replace(self, rgba=self.rgba * (1 - share[..., None]))

    def over(self, photo: Photo) -> UInt8[np.ndarray, "H W 3"]:
        """The photograph with it."""
        return composite(photo, self.rgba, self.transform.padded(self.margin))

    def of_resized(self, factor: float) -> Layer:
        """For the photograph resized by a factor."""
        return replace(self, transform=self.transform.of_resized(factor))


def layers(scene: Scene, transforms: Sequence[CropTransform], render: Renderer) -> list[Layer]:
    """The heads of a batch, whole.

    Args:
        transforms: from each one's photograph to its crop.
        render: a raster backend with a black background, as `mofa3d.renderers.make_renderer("cpu")`.
    """
    return layers_alike([scene], transforms, render)[0]


def layers_alike(scenes: Sequence[Scene], transforms: Sequence[CropTransform], render: Renderer) -> list[list[Layer]]:
    """`layers` of scenes that differ in reflectance and light only."""
    crop = scenes[0].camera.image_size
    wider, margins = zip(*map(widened, scenes), strict=True)
    landmarks = wider[0].landmarks.detach().double().cpu().numpy()
    return [
        [
            Layer(picture, crop, transform, margins[0], points)
            for picture, transform, points in zip(_pictures(drawn), transforms, landmarks, strict=True)
        ]
        for drawn in render_alike(render, wider)
    ]


def _pictures(drawn: Rendering) -> Float[np.ndarray, "B S S 4"]:
    return drawn.require_image().detach().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def widened(scene: Scene) -> tuple[Scene, int]:
    """The same heads seen whole: those that reach out of their crops would end at a straight line.

    Returns:
        The scene in larger pictures, and how many pixels these have more on each side.
    """
    camera, size = scene.camera, scene.camera.image_size
    places = scene.pixels.nan_to_num()  # beside the camera, where no head is, there may be anything
    beyond = max(-float(places.min()), float(places.max()) - size) + 1  # one for smooth edges
    margin = math.ceil(min(max(beyond, 0.0), FARTHEST * size))
    wider = Camera(size + 2 * margin, camera.focal, camera.rest_distance)
    return replace(scene, camera=wider, pixels=scene.pixels + margin, landmarks=scene.landmarks + margin), margin


def composite(photo: Photo, rgba: Float[np.ndarray, "S S 4"], transform: CropTransform) -> UInt8[np.ndarray, "H W 3"]:
    """A copy of the photograph with a rendered crop over it; only the crop's part of it is computed.

    In a photograph without color the crop has none either: light that turns skin grey would make teeth and eyes blue.

    Args:
        photo: the photograph.
        rgba: 0 to 1, colors multiplied by alpha, as renderers with a black background give them.
        transform: from the photograph to the crop.
    """
    height, width = photo.shape[:2]
    low, high = transform.bounds(rgba.shape[0])
    margin = math.ceil(1 / transform.scale) + 1  # bilinear sampling reaches half a pixel of the crop farther
    x0, x1 = _clipped(low[0] - margin, high[0] + margin, width)
    y0, y1 = _clipped(low[1] - margin, high[1] + margin, height)
    mixed = photo.copy()
    if x0 >= x1 or y0 >= y1:
        return mixed
    to_photo = transform.matrix
    # OpenCV counts pixel centres from 0, we from 0.5.
    to_photo[:, 2] += to_photo[:, :2] @ np.full(2, 0.5) - (x0 + 0.5, y0 + 0.5)
    layer = cv2.warpAffine(rgba, to_photo, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    below = photo[y0:y1, x0:x1]
    if is_grey(below):
        layer[..., :3] = cv2.cvtColor(layer[..., :3], cv2.COLOR_RGB2GRAY)[..., None]
    part = 255 * layer[..., :3] + (1 - layer[..., 3:]) * below
    mixed[y0:y1, x0:x1] = part.round().clip(0, 255).astype(np.uint8)
    return mixed


def _clipped(low: float, high: float, length: int) -> tuple[int, int]:
    return max(math.floor(low), 0), min(math.ceil(high), length)
