"""Pictures of more than 8 bits in 8: which value is white, the largest one tells.

A picture whose white were that of its number format would often be black: cameras and microscopes store 12 bits in 16,
and floats end at 1, at 255, or wherever a program left them. So the white is that of the first range below into which
the largest value of all channels fits; floats may exceed 1 or 255, as resampling leads them to, and are cut off there.
16-bit pictures without any value above 255 are black, and stay so.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

# Largest value, and white.
INTEGERS = ((255, 255), (1023, 1023), (4095, 4095), (65535, 65535), (2**31 - 1, 2**31 - 1), (math.inf, 2**32 - 1))
FLOATS = ((16, 1), (510, 255), (4095, 4095), (math.inf, 65535))
WIDTH, HEIGHT, PHOTOMETRIC, PROFILE = 256, 257, 262, 34675  # numbers of TIFF's tags
WHITE_IS_ZERO = 0


def to_8_bits(values: Num[np.ndarray, "H W *C"]) -> UInt8[np.ndarray, "H W *C"]:
    """Values of any range in 0 to 255; NaN and what is negative are black, infinity is white."""
    if values.dtype == np.uint8:
        return values
    floats = np.issubdtype(values.dtype, np.floating)
    finite = values[np.isfinite(values)] if floats else values
    most = float(finite.max(initial=0))
    white = next(white for largest, white in (FLOATS if floats else INTEGERS) if most <= largest)
    if values.dtype == np.uint16 and white == 255:
        white = 65535
    scaled = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=math.inf, neginf=0.0) * np.float32(255 / white)
    return scaled.clip(0, 255).round().astype(np.uint8)


def deep_grey(image: Image.Image) -> Image.Image:
    """A deep grey picture of Pillow's, of the mode I, I;16 or F, in 8 bits."""
    levels = to_8_bits(np.asarray(image))
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:  # which Pillow sees to in 8 bits only
        levels = 255 - levels
    return Image.fromarray(levels)


def deep_colors(image: Image.Image) -> Image.Image | None:
    """A picture whose 16 bits per color Pillow would cut off, before it is loaded; ``None`` for others."""
    if image.mode not in ("RGB", "RGBA") or not any(";16" in str(tile.args) for tile in getattr(image, "tile", ())):
        return None
    file = image.fp  # type: ignore[attr-defined]  # open, as images that are not loaded have it
    file.seek(0)
    return decoded(file.read())


def decoded(content: bytes) -> Image.Image | None:
    """A PNG or TIFF file as OpenCV decodes it, TIFF upright, in 8 bits; ``None`` if it cannot."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # else it writes about odd tags
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        return None
    if values.ndim == 2 or values.shape[2] == 1:
        return Image.fromarray(to_8_bits(values.reshape(values.shape[:2])))
    rgb = to_8_bits(values[..., 2::-1])
    return Image.fromarray(rgb if values.shape[2] == 3 else np.dstack([rgb, to_8_bits(values[..., 3])]))


def open_tiff(content: bytes, check: Callable[[tuple[int, int]], None]) -> Image.Image | None:
    """A TIFF file that Pillow does not know, as one of colors in floats; ``None`` if OpenCV does not either.

    Args:
        content: of the file.
        check: refuses widths and heights, before anything is unpacked.
    """
    file = io.BytesIO(content)
    try:
        tags = ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        size = int(tags[WIDTH]), int(tags[HEIGHT])
    except Exception:  # damaged
        return None
    check(size)
    image = decoded(content)
    if image is not None:
        image.info["icc_profile"] = tags.get(PROFILE)
    return image
