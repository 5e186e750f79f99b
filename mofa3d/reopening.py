"""Open the folder of a face that was reconstructed before."""

from __future__ import annotations

from pathlib import Path

import torch

from mofa3d.data.crop import CROP_SCALE, CROP_SHIFT, CropTransform, crop_face
from mofa3d.data.detect import FaceBox
from mofa3d.data.photo import Photo, read_photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.export import read_code
from mofa3d.inference import Reconstruction

CODE = "code.json"


@torch.no_grad()
def reopen(folder: Path, decode: Decoder) -> tuple[Photo, Reconstruction]:
    """The photograph and the face of a folder that `ReconstructionWriter` wrote, or that an edit wrote.

    Args:
        decode: of the face model of the reconstruction.

    Raises:
        ValueError: the code or the photograph that it names is missing or damaged, or belongs to another model.
    """
    path = folder / CODE
    code, extra = read_code(path, decode.model.sizes)
    if not isinstance(extra.get("photo"), str):
        raise ValueError(f"{path} does not name its photograph; give the photograph itself")
    transform = _transform(path, extra.get("crop"))
    try:
        photo = read_photo(extra["photo"])
    except ValueError as error:
        raise ValueError(f"{error} (it is named in {path})") from None
    side = decode.camera.image_size / transform.scale
    size = side / CROP_SCALE
    box = FaceBox(transform.left + side / 2, transform.top + side / 2 - CROP_SHIFT * size, size, votes=0)
    pixels, _ = crop_face(photo, box, decode.camera.image_size)
    crop = to_tensor(pixels).to(decode.model.mean_shape.device)
    return photo, Reconstruction(box, crop, transform, code, decode(code))


def _transform(path: Path, crop: object) -> CropTransform:
    try:
        transform = CropTransform(**{name: float(crop[name]) for name in ("left", "top", "scale")})
    except (TypeError, KeyError, ValueError):
        raise ValueError(
            f"{path} does not say where in the photograph the face is (crop: left, top, scale); give the photograph"
        ) from None
    if not (transform.scale > 0 and all(abs(value) < 1e6 for value in (transform.left, transform.top))):
        raise ValueError(f"the crop in {path} lies nowhere in a photograph ({transform}); give the photograph")
    return transform
