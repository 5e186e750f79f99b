"""Draw the README's picture: a photograph's reconstructed face, rotated, smiling and relit.

python experiments/draw_faces.py photo.jpg --out docs/astronaut.png --force
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from tyro.conf import Positional

import mofa3d
from mofa3d import Decoder, SemanticCode
from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.editing import codes
from mofa3d.editing.composite import Window, composite
from mofa3d.editing.lighting import directional_light
from mofa3d.files.folders import refuse_existing
from mofa3d.files.whole_pictures import write_picture
from mofa3d.models.expression_units import expression_units
from mofa3d.numeric_options import check_ranges
from mofa3d.pictures.turntable import turntable
from mofa3d.renderers import make_renderer

LAMP = (-1.0, 0.3, 0.4)  # right, up, to the viewer
AROUND = 0.35  # of the crop's side that is shown around it


@dataclass(frozen=True)
class Config:
    photo: Positional[Path]
    """A photograph of one face."""
    out: Path = Path("faces.png")
    """PNG file to write."""
    force: Flag = False
    """Replace an existing file."""
    size: int = 320
    """Height of the picture in pixels."""
    refine: bool = True
    """Fit the face to the photograph and its landmarks."""

    def __post_init__(self) -> None:
        check_ranges(self, size=(16, 4096))


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    face = mofa3d.reconstruct(config.photo, refine=config.refine)
    model, render, sharp = face.writer.model, make_renderer("cpu"), make_renderer("cpu", antialias=False)
    units = expression_units(model)

    def edited(code: SemanticCode) -> UInt8[np.ndarray, "H W 3"]:
        found = face.reconstruction
        scene = Decoder(model, found.scene.camera)(code)
        return composite(face.photo, found, scene, model, render, sharp)

    turned = turntable(model, face.code, render, config.size, frames=8)
    views = [turned[frame][:, side : side + config.size] for frame, side in ((1, 0), (2, 0), (3, config.size))]
    smile = codes.add_expression(face.code, units, {"smile": 0.7})
    photos = (face.photo, face.overlay(), edited(smile), edited(codes.relight(face.code, directional_light(LAMP))))
    cut = [around_face(face, photo, config.size) for photo in photos]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_picture(config.out, np.concatenate([*cut[:2], *views, *cut[2:]], axis=1))
    print(config.out)


def around_face(face: mofa3d.Face, photo: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """The part of a photograph around a face, as a square of `size` pixels."""
    crop, transform = face.reconstruction.scene.camera.image_size, face.reconstruction.transform
    side = (1 + 2 * AROUND) * crop / transform.scale
    left, top = (transform.to_photo(np.full(2, crop / 2)) - side / 2).tolist()
    window = Window(round(left), round(top), round(side))
    return cv2.resize(window.cut(photo), (size, size), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
