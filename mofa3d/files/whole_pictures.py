"""Pictures and figures that appear whole or not at all, see `mofa3d.files.whole`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mofa3d.errors import InputError
from mofa3d.files.whole import whole_file, write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png_of(picture: UInt8[np.ndarray, "H W C"]) -> bytes:
    """A picture, RGB or RGBA, as the content of a PNG file.

    Looking for runs only is several times faster than looking for repeated patterns, and pictures of faces, of which
    PNG packs what each row changes by, become as small. OpenCV finds these changes faster than Pillow.
    """
    blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    runs = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
    return cv2.imencode(".png", blue_first, runs)[1].tobytes()


def write_picture(path: Path, picture: UInt8[np.ndarray, "H W C"]) -> None:
    """Write a picture in the format that its name asks for.

    Raises:
        InputError: there is no such format.
        OSError: it cannot be written, with its name; a former file stays as it is.
    """
    if path.suffix.lower() == ".png":
        write_bytes(path, png_of(picture))
        return
    kind = Image.registered_extensions().get(path.suffix.lower())  # which loads what knows all the other formats
    if kind is None:
        raise InputError(f"{path}: unknown picture format; choose a name that ends with .png")
    with whole_file(path) as file:
        Image.fromarray(picture).save(file, kind)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG.

    Raises:
        OSError: see `write_picture`.
    """
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
