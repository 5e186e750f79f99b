"""Read photographs of any origin into upright 8-bit RGB."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 100_000_000  # more than any camera's; a small file that unpacks to more is refused before it is unpacked

Photo = UInt8[np.ndarray, "H W 3"]


def read_photo(
    path: Path | str | io.BytesIO,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] | None = None,
) -> Photo:
    """Read a photograph as RGB, turned upright as its EXIF orientation says.

    Transparent parts come out white, 16-bit greys are reduced to 8 bits, and of an animation the first frame is read.

    Args:
        path: the file, or its content.
        name: what to call the content in messages.
        max_pixels: at most `MAX_PIXELS`.
        formats: those that may be read, by Pillow's names; by default all that it knows.

    Raises:
        ValueError: the file is missing, no image, damaged, or has too many pixels.
    """
    source = path if isinstance(path, io.BytesIO) else Path(path)
    path = name or source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about half its own size limit and about odd EXIF blocks
            with Image.open(source, formats=formats) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ValueError(f"{path} has {width}×{height} pixels, more than {max_pixels}; make it smaller")
                return to_photo(image)
    except FileNotFoundError:
        raise ValueError(f"there is no photograph at {path}; check the path") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; give a photograph") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image that can be read; give a JPEG, PNG, WebP or BMP file") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path} unpacks to more than {max_pixels} pixels; make it smaller") from None
    except (OSError, SyntaxError, EOFError, OverflowError, IndexError) as error:  # what Pillow raises on damaged files
        raise ValueError(f"{path} is damaged ({error}); replace it or leave it out") from None


def to_photo(image: Image.Image) -> Photo:
    """A Pillow image as `read_photo` gives it: upright 8-bit RGB."""
    return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow clips wide greys at 255 instead of scaling them.
        grey = np.asarray(image, dtype=np.float64)
        grey = grey / 257 if image.mode.startswith("I;16") or grey.max(initial=0) > 255 else grey
        return Image.fromarray(grey.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_tensor(photo: Photo) -> Float[Tensor, "3 H W"]:
    """A photograph or crop as the networks take it, in 0 to 1."""
    # Colour comes first while there is one byte per number: three times faster than the other way round.
    return torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).to(torch.float32).div_(255)


def fit(photo: Photo, side: int) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph with its longer side at `side` pixels."""
    scale = side / max(photo.shape[:2])
    size = (max(1, round(scale * photo.shape[1])), max(1, round(scale * photo.shape[0])))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def find_photos(root: Path) -> list[Path]:
    """Every photograph below a folder, sorted; hidden files and folders are left out.

    Raises:
        ValueError: no such folder, or no photograph in it.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give a folder of photographs")
    inside = (path for path in root.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES and not path.is_dir())
    photos = sorted(path for path in inside if not any(part.startswith(".") for part in path.relative_to(root).parts))
    if not photos:
        raise ValueError(f"{root} holds no photographs ({', '.join(PHOTO_SUFFIXES)}); give a folder that does")
    return photos
