"""The pictures of a film: every frame of a video, and beside it the same frame with the face laid over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from mofa3d.data.photo import Photo
from mofa3d.decoder import Decoder
from mofa3d.environment.ahead import ahead
from mofa3d.pictures import views
from mofa3d.pictures.overlay import Layer, layers_alike
from mofa3d.reconstruction.video.moving_face import VideoFace
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

BATCH = 8  # frames decoded and rendered at once


@dataclass(frozen=True)
class FaceFilm:
    """Draws the frames of a film side by side: photograph, overlay, and geometry if asked for.

    Args:
        face: what is laid over.
        decode: gives the face model.
        render: a raster backend with a black background, as `make_renderer("cpu")`.
        width, height: of the video, pixels.
        max_side: of one of the pictures, whose longer side is made smaller if it is above.
        geometry: whether there is a third picture, with the surface in clay.
    """

    face: VideoFace
    decode: Decoder
    render: Renderer
    width: int
    height: int
    max_side: int
    geometry: bool

    @property
    def shrink(self) -> float:
        """Pixels of a picture per pixel of the video."""
        return min(1.0, self.max_side / max(self.width, self.height))

    @property
    def panel(self) -> tuple[int, int]:
        """Width and height of one picture, both even, for H.264 halves the resolution of colors."""
        width, height = (max(1, round(self.shrink * length)) for length in (self.width, self.height))
        return width + width % 2, height + height % 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the film."""
        width, height = self.panel
        return (3 if self.geometry else 2) * width, height

    def draw(self, frames: Iterable[Photo]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The film's frames; without a face, all pictures of one are the photograph."""
        with closing(ahead(self._side_by_side, self._with_heads(frames), torch.get_num_threads())) as pictures:
            for _, picture in pictures:
                yield picture.result()

    def _with_heads(self, frames: Iterable[Photo]) -> Iterator[tuple[Photo, tuple[Layer, ...]]]:
        """Each frame and what is laid over it, if it shows the face."""
        row_of = {int(frame): row for row, frame in enumerate(self.face.frames)}
        numbered = enumerate(frames)
        while batch := list(islice(numbered, BATCH)):
            heads = iter(self._heads([row_of[number] for number, _ in batch if number in row_of]))
            for number, photo in batch:
                yield photo, next(heads) if number in row_of else ()

    def _side_by_side(self, frame: tuple[Photo, tuple[Layer, ...]]) -> UInt8[np.ndarray, "h w 3"]:
        photo, heads = frame
        small = self._shrunk(photo)
        beside = [small] * (2 if self.geometry else 1)
        if heads:
            laid = [head.of_resized(self.shrink) for head in heads]
            hidden = laid[0].hidden(small)
            beside = [head.behind(hidden).over(small) for head in laid]
        return np.concatenate([small, *beside], axis=1)

    @torch.no_grad()
    def _heads(self, rows: list[int]) -> list[tuple[Layer, ...]]:
        """What is laid over each frame: the face, and the same in clay if that is asked for."""
        if not rows:
            return []
        device = self.decode.model.mean_shape.device
        codes = self.face.codes[torch.tensor(rows)]
        scene = self.decode(SemanticCode.from_vector(codes.to_vector().to(device), codes.sizes))
        transforms = [self.face.transforms[row] for row in rows]
        scenes = [scene, views.clay(scene)] if self.geometry else [scene]
        return list(zip(*layers_alike(scenes, transforms, self.render), strict=True))

    def _shrunk(self, photo: Photo) -> UInt8[np.ndarray, "height width 3"]:
        """A frame at a picture's size, its last row and column repeated where that makes the size even."""
        width, height = (max(1, round(self.shrink * length)) for length in (self.width, self.height))
        if photo.shape[:2] != (height, width):
            photo = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        if width % 2 or height % 2:
            photo = cv2.copyMakeBorder(photo, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        return photo
