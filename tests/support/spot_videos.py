"""Videos of a grey square on black, an encoder that sees where it is, and a detector of it: faces for quick tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mofa3d.camera import Camera
from mofa3d.data.crop import CROP_SCALE, CROP_SHIFT
from mofa3d.data.found_face import FoundFace
from mofa3d.data.locate import LocatedFace
from mofa3d.decoder import Decoder
from mofa3d.encoders.network import make_encoder
from mofa3d.export import film_writer
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.reconstructor import Reconstructor

SIZE = 48  # of crops
SIDE = 200.0  # of the square, mm: it covers the tiny face
GREY = 90


def spot_frame(width: int, height: int, centre: tuple[float, float], side: float) -> np.ndarray:
    """A square with soft borders, whose position is exact to a fraction of a pixel."""
    across, down = (
        _cover(np.arange(length), middle - side / 2, middle + side / 2)
        for length, middle in zip((width, height), centre, strict=True)
    )
    grey = np.round(GREY * down[:, None] * across).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _cover(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """How much of each pixel lies between."""
    return (np.minimum(pixels + 1, high) - np.maximum(pixels, low)).clip(0)


def write_spots(path: Path, places: list[tuple[float, float, float] | None]) -> Path:
    """A film with the square at (x, y) of some side in each frame, or without it."""
    with film_writer(path, 160, 120, 25.0) as write:
        for place in places:
            write(frame_of(place))
    return path


def frame_of(place: tuple[float, float, float] | None, width: int = 160, height: int = 120) -> np.ndarray:
    """The square at (x, y) of some side, or nothing."""
    if place is None:
        return np.zeros((height, width, 3), dtype=np.uint8)
    return spot_frame(width, height, place[:2], place[2])


def detect_spots(photo: np.ndarray, *_) -> list[FoundFace]:
    """In place of `detect_faces`: the box whose crop has the square in its middle as large as the tiny face."""
    bright = photo[..., 0] > GREY / 2
    if not bright.any():
        return []
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    x, y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    camera = Camera(SIZE)
    size = (rows[-1] + 1 - rows[0]) * SIZE * camera.rest_distance / (SIDE * camera.focal) / CROP_SCALE
    return [FoundFace.of_box(float(x), float(y - CROP_SHIFT * size), float(size), 1.0)]


def locate_spot(photo: np.ndarray, face: FoundFace) -> LocatedFace:
    """In place of `locate`, which sees no face in a square."""
    return LocatedFace(face, None, None)


class SpotEncoder:
    """The code whose origin lies in the square's middle at its size; all coefficients tremble by `noise`."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise, self.generator = noise, torch.Generator().manual_seed(0)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        code = torch.zeros(len(image), 5 + 4 + 6 + 6 + 27)
        camera = Camera(SIZE)
        centres = torch.arange(SIZE) + 0.5
        for row, weights in zip(code, (image[:, 0] * 255 / GREY).clamp(0, 1), strict=True):
            area = float(weights.sum())
            if area < 1:
                continue
            x, y = float((weights.sum(0) @ centres) / area), float((weights.sum(1) @ centres) / area)
            depth = SIDE * camera.focal / area**0.5
            place = (x - SIZE / 2, SIZE / 2 - y, (camera.rest_distance / depth - 1) * camera.focal)
            row[18:21] = -torch.tensor(place) * depth / camera.focal
        scales = torch.tensor([1.0] * 15 + [0.03] * 3 + [2.0] * 3 + [0.01] * 27)
        return code + self.noise * scales * torch.randn(code.shape, generator=self.generator)


def spot_reconstructor(model: MorphableModel, noise: float = 0.0) -> Reconstructor:
    encoder = make_encoder("mobilenet_v2", sizes=model.sizes, weights=None, input_size=32)
    reconstructor = Reconstructor(encoder, Decoder(model, Camera(SIZE)), runtime="torch")
    reconstructor.encode = SpotEncoder(noise)
    return reconstructor
