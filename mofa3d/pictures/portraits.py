"""Pictures of a model's faces that fill them alike, whatever part of a head the model shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures.views import to_bytes
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import SemanticCode

FILLED = 0.8  # part of a picture's height (or width) that the mean face fills
ASPECT = 0.8  # width over height of a picture: heads are narrow
BATCH = 8  # faces rendered at once

Draw = Callable[[Scene, Renderer], Tensor]


class Studio:
    """A camera with the zoom at which the mean face fills the picture, and the faces in its middle.

    Args:
        model: a whole one, not a restricted one.
        render: a raster backend with a black background.
        image_size: height of a picture, pixels; it is `ASPECT` times as wide.
    """

    def __init__(self, model: MorphableModel, render: Renderer, image_size: int) -> None:
        self.render = render
        self.width = max(1, round(ASPECT * image_size))
        self.mean = SemanticCode.zeros(1, model.sizes)
        rest = Camera(image_size)
        low, high = _bounds(Decoder(model, rest), self.mean)
        extent = float(((high - low) / torch.tensor([self.width, image_size], dtype=torch.float32)).max())
        self.decode = Decoder(model, Camera(image_size, focal=rest.focal * FILLED / extent))

    def draw(self, codes: SemanticCode, draw: Draw, angle: float = 0.0) -> UInt8[np.ndarray, "K H W 3"]:
        """One picture per code.

        Args:
            codes: faces; their translation is replaced.
            draw: makes pictures (B, 3, H, H) in 0 to 1 of a scene, as those of `mofa3d.pictures.views` do.
            angle: by which all of them are turned, degrees; with it the middle of the head moves in the picture.
        """
        codes = self._centred(codes, angle)
        parts = [codes[start : start + BATCH] for start in range(0, len(codes), BATCH)]
        square = np.concatenate([to_bytes(draw(self.decode(part), self.render)) for part in parts])
        return square[:, :, self._left : self._left + self.width]

    def landmarks(self, code: SemanticCode) -> Float[np.ndarray, "68 2"]:
        """Where the landmarks of one face that is not turned are in its picture, pixels."""
        points = self.decode(self._centred(code, 0.0)).landmarks[0]
        return points.numpy() - np.array([self._left, 0], dtype=np.float32)

    @property
    def _left(self) -> int:
        return (self.decode.camera.image_size - self.width) // 2

    def _centred(self, codes: SemanticCode, angle: float) -> SemanticCode:
        """Move codes by what brings the mean face, turned by the angle, into the middle of its picture."""
        camera = self.decode.camera
        low, high = _bounds(self.decode, turned(self.mean, angle))
        right, down = ((low + high - camera.image_size) / 2 * camera.rest_distance / camera.focal).unbind()
        offset = torch.stack([right, -down, torch.zeros((), dtype=torch.float32)])
        return codes.replace(translation=axis_angle_to_matrix(codes.rotation) @ offset)


def turned(codes: SemanticCode, degrees: float) -> SemanticCode:
    """The same faces, all turned by one angle to their left."""
    rotation = torch.tensor([0.0, np.radians(degrees), 0.0], dtype=torch.float32)
    return codes.replace(rotation=rotation.expand(len(codes), 3))


def _bounds(decode: Decoder, code: SemanticCode) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    """Smallest and largest x and y of a face in pixels."""
    pixels = decode(code).pixels[0]
    return pixels.amin(dim=0), pixels.amax(dim=0)
