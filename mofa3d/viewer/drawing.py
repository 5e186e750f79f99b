"""The pictures of the page: the photograph, the same with the face over it and edited, a face alone, its texture."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo, fit
from mofa3d.editing.edit import draw
from mofa3d.export.face_textures import FaceTextures
from mofa3d.pictures.views import to_bytes
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over

if TYPE_CHECKING:
    from mofa3d.viewer.tools import Tools

PICTURES = {"overlay": "Overlay", "edited": "Edited", "photo": "Original"}
LONGEST_SIDE = 1024  # pixels of the picture on the page: drawing a whole photograph would make the sliders slow
THUMBNAIL = 96  # pixels
TEXELS = 1024  # along each side of the texture
QUALITY = 88  # of the JPEG


def shown_size(photo: Photo) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph as the page shows it; small ones stay as they are."""
    return photo if max(photo.shape[:2]) <= LONGEST_SIDE else fit(photo, LONGEST_SIDE)


def picture(
    kind: str, photo: Photo, full_width: int, start: Reconstruction, found: Reconstruction, tools: Tools
) -> Photo:
    """One of the `PICTURES`.

    Args:
        photo: of any size.
        full_width: of the photograph it was made from, pixels, which the reconstructions' transforms are about.
        start: the face as it was reconstructed.
        found: the face as the sliders say.
    """
    if kind == "photo":
        return photo
    share = photo.shape[1] / full_width
    start, found = (replace(each, transform=each.transform.of_resized(share)) for each in (start, found))
    if kind == "overlay":
        return lay_over(photo, found, tools.render, start=start)
    return draw(photo, start, found.code, tools.decode, tools.render, tools.sharp)[0]


def outline(box: FoundFace, width: int, height: int) -> list[tuple[float, float]]:
    """Corners of the square around a face, as shares of the photograph's width and height."""
    square = CropTransform.around((box.x, box.y), box.size, box.roll, 1)
    corners = square.to_photo(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    return [(float(x) / width, float(y) / height) for x, y in corners]


def thumbnail(face: Reconstruction) -> bytes:
    """The crop of a face as a small JPEG file."""
    crop = to_bytes(face.crop[None])[0]
    return jpeg(cv2.resize(crop, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA))


def texture(photo: Photo, face: Reconstruction, textures: FaceTextures) -> bytes:
    """The reflectance of a face as its photograph shows it, a JPEG file."""
    return jpeg(textures(face.scene, photo, face.transform, "photograph", TEXELS).image)


def jpeg(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
