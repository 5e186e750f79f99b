"""Open the folder of a face that was reconstructed before, wherever it has moved since."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from mofa3d.data.crop import face_in_crop
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.photo import Photo, read_photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.export.codes import read_code
from mofa3d.pictures.views import COLUMNS
from mofa3d.reconstruction.photo_places import find_photo, read_named
from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.semantic_code import SemanticCode

CODE, PANELS = "code.json", "panels.png"
SPREAD = 2.0  # sides of a photograph that a crop may be wide
ALIKE = 0.9  # correlation of two crops that are of one photograph


class Reopened(NamedTuple):
    """A face that was opened again.

    Attributes:
        photo: the photograph, or the crop that stands in for it.
        face: the face in it.
        note: what to tell the user: where the photograph is that was not where it had been, or why the result may be
            poor; or "".
    """

    photo: Photo
    face: Reconstruction
    note: str


@torch.no_grad()
def reopen(folder: Path, decode: Decoder) -> Reopened:
    """The photograph and the face of a folder that `ReconstructionWriter` wrote, or that an edit wrote.

    The photograph is looked for where it is as seen from the folder, then where it was, then beside the folder; what
    shows something else in place of the face is passed over. Where it is gone, the crop in ``panels.png`` stands in.

    Args:
        decode: of the face model of the reconstruction.

    Raises:
        InputError: the code or the photograph that it names is missing or damaged, or belongs to another model.
    """
    path = folder / CODE
    code, extra = read_code(path, decode.model.sizes)
    named = extra.get("photo")
    if not isinstance(named, str) or not named:
        raise InputError(f"{path} does not name its photograph; give the photograph itself")
    transform = _transform(path, extra.get("crop"))
    stored = _stored_crop(folder, decode.camera.image_size)
    reasons = []
    for place in find_photo(folder, extra):
        try:
            photo = read_named(place)
            face, pixels = _face_in(photo, transform, code, decode)
        except InputError as error:
            reasons.append(str(error))
            continue
        if stored is None or _alike(pixels, stored):
            moved = not (Path(named).exists() and Path(place).samefile(named)) and "#" not in named
            return Reopened(photo, face, f"the photograph is {place}, no longer {named}" if moved else "")
        reasons.append(f"{place} shows something else where the face was")
    reason = reasons[0] if reasons else f"there is no photograph at {named}; put it beside {folder}"
    if stored is None:
        raise InputError(f"{reason} (it is named in {path})")
    face, _ = _face_in(stored, CropTransform(0.0, 0.0, 1.0), code, decode)
    size = "×".join(map(str, stored.shape[1::-1]))
    return Reopened(stored, face, f"{reason}; only the crop of {size} pixels in {folder / PANELS} is used")


def _face_in(
    photo: Photo, transform: CropTransform, code: SemanticCode, decode: Decoder
) -> tuple[Reconstruction, UInt8[np.ndarray, "S S 3"]]:
    """The face at a place in a photograph, and the pixels there."""
    size = decode.camera.image_size
    _check_place(photo, transform, size)
    pixels = resample(photo, transform, size)
    crop = to_tensor(pixels).to(decode.model.mean_shape.device)
    return Reconstruction(face_in_crop(transform, size), crop, transform, code, decode(code)), pixels


def _check_place(photo: Photo, transform: CropTransform, size: int) -> None:
    """Refuse a crop that no face in this photograph can have; pixels are made for all of it."""
    side = size / transform.scale
    x, y = transform.to_photo(np.full(2, size / 2)).tolist()
    height, width = photo.shape[:2]
    near = -side / 2 <= x <= width + side / 2 and -side / 2 <= y <= height + side / 2
    if not (1 <= side <= SPREAD * max(height, width) and near):
        raise InputError(
            f"the crop of its code is {side:.4g} pixels wide around {x:.4g}, {y:.4g}, which cannot be a face in a "
            f"photograph of {width}×{height} pixels"
        )


def _stored_crop(folder: Path, size: int) -> Photo | None:
    """The crop that `ReconstructionWriter` drew at the left of the panels."""
    try:
        panels = read_photo(folder / PANELS)
    except (InputError, OSError):
        return None
    return np.ascontiguousarray(panels[:, :size]) if panels.shape == (size, len(COLUMNS) * size, 3) else None


def _alike(first: UInt8[np.ndarray, "S S 3"], second: UInt8[np.ndarray, "S S 3"]) -> bool:
    """Whether two crops are of one photograph, which may have been saved again or made brighter."""
    a, b = (crop.astype(np.float64).ravel() - crop.mean() for crop in (first, second))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) > ALIKE * lengths if lengths > 0 else np.array_equal(first, second)


def _transform(path: Path, crop: Any) -> CropTransform:
    try:
        # Crops of earlier versions were as upright as their photographs.
        left, top, scale = (float(crop[name]) for name in ("left", "top", "scale"))
        transform = CropTransform(left, top, scale, float(crop.get("roll", 0.0)))
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError):  # of float() and get()
        raise InputError(
            f"{path} does not say where in the photograph the face is (crop: left, top, scale); give the photograph"
        ) from None
    places = (transform.left, transform.top, transform.roll)
    if not (transform.scale > 0 and all(abs(value) < 1e6 for value in places)):
        raise InputError(f"the crop in {path} lies nowhere in a photograph ({transform}); give the photograph")
    return transform
