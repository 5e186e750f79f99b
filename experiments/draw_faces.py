"""Draw what can be done with a photograph, as the README's picture: found, turned, smiling, in other light.

    python experiments/draw_faces.py photo.jpg --out docs/astronaut.png
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tyro.conf import Positional

import mofa3d
from mofa3d import Decoder, SemanticCode, editing, export, program
from mofa3d.edited_photo import composite
from mofa3d.expression_units import expression_units
from mofa3d.lighting import directional_light
from renderers import make_renderer

LAMP = (-1.0, 0.3, 0.4)  # right, up, to the viewer
AROUND = 0.35  # of the crop's side that is shown around it


@dataclass(frozen=True)
class Config:
    photo: Positional[Path]
    """A photograph of one face."""
    out: Path = Path("faces.png")
    """Picture to write."""
    size: int = 320
    """Height of one of its parts, pixels."""
    refine: bool = True
    """Fit the face to the photograph, with dlib's landmarks where that is installed."""


def main(config: Config) -> None:
    face = mofa3d.reconstruct(config.photo, refine=config.refine)
    model, render = face.writer.model, make_renderer("cpu")
    units = expression_units(model)

    def edited(code: SemanticCode) -> UInt8[np.ndarray, "H W 3"]:
        found = face.reconstruction
        scene = Decoder(model, found.scene.camera)(code)
        return composite(face.photo, found, scene, model, render, make_renderer("cpu", antialias=False))

    turned = export.turntable(model, replace(face.code), render, config.size, frames=8)
    views = [turned[frame][:, side : side + config.size] for frame, side in ((1, 0), (2, 0), (3, config.size))]
    smile = editing.add_expression(face.code, units, {"smile": 0.7})
    photos = (face.photo, face.overlay(), edited(smile), edited(editing.relight(face.code, directional_light(LAMP))))
    cut = [around_face(face, photo, config.size) for photo in photos]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([*cut[:2], *views, *cut[2:]], axis=1)).save(config.out)
    print(config.out)


def around_face(face: mofa3d.Face, photo: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """The part of a photograph around a face, as a square of `size` pixels."""
    t = face.reconstruction.transform
    side = face.reconstruction.scene.camera.image_size / t.scale
    part = (1 + 2 * AROUND) * side
    left, top = t.left - AROUND * side, t.top - AROUND * side
    corners = np.array([[left, top], [left + part, top], [left, top + part]], dtype=np.float32)
    places = np.array([[0, 0], [size, 0], [0, size]], dtype=np.float32)
    to_square = cv2.getAffineTransform(corners, places)
    return cv2.warpAffine(photo, to_square, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
