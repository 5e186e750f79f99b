"""What the page shows of a face: the photograph with the face over it, and the mesh in 3D."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor

from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo, fit
from mofa3d.pictures import views
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over
from mofa3d.scene import Renderer, Scene

LONGEST_SIDE = 1024  # pixels of the picture on the page: drawing a whole photograph would make the sliders slow
LOOKS = {"lit": "Lit", "skin": "Skin color", "shape": "Shape only"}
FRAME = (255, 214, 0)
QUALITY = 88  # of the JPEG


def shown_size(photo: Photo) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph as the page shows it; small ones stay as they are."""
    return photo if max(photo.shape[:2]) <= LONGEST_SIDE else fit(photo, LONGEST_SIDE)


def over_photograph(shown: Photo, full_width: int, found: Reconstruction, render: Renderer) -> Photo:
    """The face laid over the shown photograph.

    Args:
        shown: see `shown_size`.
        full_width: of the photograph it was made from, pixels, which the reconstruction's transform is about.
    """
    smaller = found.transform.of_resized(shown.shape[1] / full_width)
    return lay_over(shown, replace(found, transform=smaller), render)


def framed(shown: Photo, full_width: int, boxes: Sequence[FoundFace], chosen: int) -> Photo:
    """The shown photograph with a numbered frame around each face, the chosen one's thicker."""
    share, picture = shown.shape[1] / full_width, shown.copy()
    for number, box in enumerate(boxes):
        square = CropTransform.around((share * box.x, share * box.y), share * box.size, box.roll, 1)
        corners = square.to_photo(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])).round().astype(np.int32)
        cv2.polylines(picture, [corners], True, FRAME, 3 if number == chosen else 1, cv2.LINE_AA)
        left, top = corners.min(axis=0).tolist()
        place = (left + 5, top + 22)
        cv2.putText(picture, str(number + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, FRAME, 2, cv2.LINE_AA)
    return picture


def jpeg(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def png(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def colors(scene: Scene, look: str) -> Float[Tensor, "N 3"]:
    """Colors of the vertices, display RGB, in one of the `LOOKS`."""
    if look == "skin":
        return scene.reflectance[0]
    return (views.clay(scene) if look == "shape" else scene).colors[0]


def vertex_bytes(scene: Scene, look: str) -> bytes:
    """The vertices as the page's 3D view takes them: all positions, then all colors.

    Positions are little-endian 32-bit floats in mm, turned as in the upright crop, the origin in the middle of the
    head; colors are RGBA in 8 bits.
    """
    turned = scene.vertices[0] @ axis_angle_to_matrix(scene.rotation[0])
    rgba = np.full((len(turned), 4), 255, dtype=np.uint8)
    rgba[:, :3] = np.round(255 * colors(scene, look).clamp(0, 1).cpu().numpy())
    return turned.cpu().numpy().astype("<f4").tobytes() + rgba.tobytes()


def triangle_bytes(faces: Int[Tensor, "F 3"]) -> bytes:
    """The triangles as the page's 3D view takes them: little-endian 32-bit numbers of vertices."""
    return faces.cpu().numpy().astype("<u4").tobytes()
