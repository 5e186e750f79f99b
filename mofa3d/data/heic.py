"""Reads HEIC, the format of most phones, through pillow-heif, whose own plugin for Pillow rewrites EXIF blocks."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from mofa3d.errors import InputError

COLORS = ("icc_profile", "nclx_profile")  # what is kept of what a file says


def open_heic(file: io.BufferedIOBase, name: object, check: Callable[[tuple[int, int]], None]) -> Image.Image:
    """The picture that a file shows first: upright, as the format's own properties say, and in 8 bits.

    Args:
        file: open for reading.
        name: of the file, for messages.
        check: refuses widths and heights, before anything is unpacked.

    Raises:
        InputError: pillow-heif is not installed.
        Exception: the file is damaged.
    """
    try:
        from pillow_heif import open_heif
    except ImportError:
        raise InputError(
            f"{name} is an HEIC picture, which needs the package pillow-heif; run: pip install 'mofa3d[heic]'"
        ) from None

    heif = open_heif(file, convert_hdr_to_8bit=True)
    check(heif.size)
    pixels = heif.data  # may change what follows
    image = Image.frombytes(heif.mode, heif.size, bytes(pixels), "raw", heif.mode, heif.stride)
    image.info |= {key: heif.info[key] for key in COLORS if heif.info.get(key)}
    return image
