"""Read photographs of any origin into upright 8-bit RGB."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from mofa3d.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


# More than medium formats have (151 million), and less than Pillow opens; a small file that unpacks to more is refused
# before it is unpacked.
MAX_PIXELS = 160_000_000
RUN_PROGRAMS = ("EPS", "WMF")  # formats that Pillow leaves to Ghostscript and to Windows
LEAST_COLOR = 0.01  # `colorfulness` below which a photograph is black and white
HEAD = 512  # bytes; see `mofa3d.data.file_kind`
COLOR_NOTES = {"icc_profile", "nclx_profile", "gamma", "chromaticity"}  # that mean something other than sRGB
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

Photo = UInt8[np.ndarray, "H W 3"]


def read_photo(
    path: Path | str | io.BytesIO,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] | None = None,
) -> Photo:
    """Read a photograph as sRGB, turned upright as its EXIF orientation says.

    Transparent parts come out white, and of an animation the first frame is read. See `mofa3d.data.color_profile` for
    colors and `mofa3d.data.pixel_depth` for more than 8 bits.

    Args:
        path: the file, or its content.
        name: what to call the content in messages.
        max_pixels: at most `MAX_PIXELS`.
        formats: those that may be read, by Pillow's names and "HEIF"; by default all that it reads by itself.

    Raises:
        InputError: the file is missing, no file but a pipe or a device, no image, damaged, or has too many pixels.
    """
    source = path if isinstance(path, io.BytesIO) else Path(path)
    path = name or source
    if isinstance(source, Path):
        check_is_file(source, "photograph")
    with blaming(path), opened(source, path, max_pixels, formats) as image:
        return _upright(image)


@contextmanager
def opened(
    source: Path | io.BytesIO, name: object, max_pixels: int = MAX_PIXELS, formats: Sequence[str] | None = None
) -> Iterator[Image.Image]:
    """An image that is not decoded yet, if its format allows that.

    Args:
        source, max_pixels, formats: see `read_photo`.
        name: what to call it in messages.

    Raises:
        InputError: it has too many pixels, or needs a package that is not installed.
        Exception: it is damaged, or no image; see `blaming`.
    """

    check = partial(_check_size, name, max_pixels)
    with open(source, "rb") if isinstance(source, Path) else nullcontext(source) as file:
        head = file.read(HEAD)
        file.seek(0)
        if head[4:8] == b"ftyp" and (formats is None or "HEIF" in formats):
            from mofa3d.data.file_kind import is_heif  # here, as all that few photographs need
            from mofa3d.data.heic import open_heic

            if is_heif(head):
                yield open_heic(file, name, check)
                return
        try:
            image = Image.open(file, formats=[name for name in formats or _formats() if name != "HEIF"])
        except Exception:
            from mofa3d.data.second_try import open_differently

            image = open_differently(file, formats, check)
            if image is None:
                raise
        check(image.size)
        if image.format == "AVIF":
            from mofa3d.data.color_profile import stated_colors

            image.info |= stated_colors(file)
        yield image


def _check_size(name: object, most: int, size: tuple[int, int]) -> None:
    if size[0] * size[1] > most:
        raise InputError(f"{name} has {size[0]}×{size[1]} pixels, more than {most}; make it smaller")


def check_is_file(path: Path, kind: str) -> None:
    """Refuse what is no file before it is opened: pipes and devices would be waited for, or have no end.

    Args:
        path: it, or a link to it.
        kind: what is wanted, for the message.

    Raises:
        InputError: it is missing, a folder, a pipe, a socket or a device, or lies where one may not look.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"there is no {kind} at {path}; check the path") from None
    except (OSError, ValueError) as error:  # of names that cannot be; OSError of closed folders and loops of links
        raise InputError(f"{path} cannot be read ({error}); check the path") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; give a {kind}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is a pipe, a socket or a device, not a file; give a {kind}")


@contextmanager
def blaming(name: object) -> Iterator[None]:
    """Let whatever goes wrong while an image is decoded be that image's fault.

    Decoders raise nearly everything on damaged files: struct.error, TypeError, RuntimeError, NotImplementedError,
    RecursionError, SyntaxError and more.

    Args:
        name: of the image.

    Raises:
        InputError: instead of any other exception, with the name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about half its own size limit and about odd EXIF blocks
            yield
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name} is not an image that can be read; give a JPEG, PNG, WebP or BMP file") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name} unpacks to more than {MAX_PIXELS} pixels; make it smaller") from None
    except PermissionError as error:
        raise InputError(f"{name} cannot be read ({os.strerror(error.errno)}); check its permissions") from None
    except MemoryError:
        raise InputError(f"{name} needs more memory than there is; make it smaller") from None
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{name} is damaged ({reason}); replace it or leave it out") from None


def to_photo(image: Image.Image, name: str) -> Photo:
    """A Pillow image as `read_photo` gives it: upright 8-bit RGB.

    Args:
        image: it; what is not decoded yet is decoded.
        name: what to call it in messages.

    Raises:
        InputError: it has too many pixels, or cannot be decoded.
    """
    _check_size(name, MAX_PIXELS, image.size)
    with blaming(name):
        return _upright(image)


@cache
def _formats() -> tuple[str, ...]:
    """All formats that are read without running another program."""
    Image.init()
    return tuple(name for name in Image.OPEN if name not in RUN_PROGRAMS)


def _upright(image: Image.Image) -> Photo:
    deep = None
    if ";16" in str(getattr(image, "tile", "")):  # before it is loaded, for Pillow cuts colors off at 8 bits
        from mofa3d.data.pixel_depth import deep_colors

        deep = deep_colors(image)
    if deep is None:
        if image.format == "TIFF":
            image.load_end = lambda: None  # type: ignore[method-assign]  # it turns the image and rewrites its tags
        image.load()  # PNG may have its EXIF block at the end
    rgb = _to_rgb(image if deep is None else deep, image.info)
    turn = None if deep is not None and image.format == "TIFF" else UPRIGHT.get(_orientation(image))
    return np.asarray(rgb if turn is None else rgb.transpose(turn))


def _orientation(image: Image.Image) -> Any:
    """The only thing that is read of a photograph's EXIF block, and only if it can be."""
    try:
        notes = image.tag_v2 if image.format == "TIFF" else image.getexif()  # type: ignore[attr-defined]
        return notes.get(ExifTags.Base.Orientation)
    except Exception:  # as in `blaming`; a photograph is more than its notes
        return None


def _to_rgb(image: Image.Image, info: dict) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        from mofa3d.data.pixel_depth import deep_grey

        image = deep_grey(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = _on_white(image)
    if image.mode == "LAB" or not COLOR_NOTES.isdisjoint(info):
        from mofa3d.data.color_profile import to_srgb

        return to_srgb(image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB"), info)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("LA", "La", "L")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))  # a third of the memory of compositing
    return white.convert("L") if grey else white


def to_tensor(photo: Photo) -> Float[Tensor, "3 H W"]:
    """A photograph or crop as the networks take it, in 0 to 1."""
    import torch  # here: processes that only read photographs do without it

    # Color comes first while there is one byte per number: three times faster than the other way round.
    return torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).to(torch.float32).div_(255)


def fit(photo: Photo, side: int) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph with its longer side at `side` pixels."""
    scale = side / max(photo.shape[:2])
    size = (max(1, round(scale * photo.shape[1])), max(1, round(scale * photo.shape[0])))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def find_photos(root: Path, known: Collection[str] = ()) -> list[Path]:
    """Every photograph below a folder, sorted.

    What a file is, its content says. Hidden files and folders, what mofa3d wrote, and files that are no photographs are
    left out; the log tells how many and of which kinds.

    Args:
        root: the folder.
        known: names of files that have another use, and are not counted.

    Raises:
        InputError: no such folder, or no photograph in it.
    """
    from mofa3d.data.file_kind import PHOTO_SUFFIXES  # here: who reads one photograph does without
    from mofa3d.data.folder import look_into

    if not root.is_dir():
        raise InputError(f"there is no folder {root}; give a folder of photographs")
    found = look_into(root, ("photo",), known)
    found.left_out.tell(root)
    if not found.files:
        raise InputError(f"{root} contains no photographs ({', '.join(PHOTO_SUFFIXES)}); give a folder that does")
    return sorted(path for path, _ in found.files)


def colorfulness(crop: Photo) -> float:
    """Mean distance of a color from grey, 0 to about 0.8: 0 in a black-and-white photograph, about 0.1 on skin."""
    values = crop.astype(np.float32) / 255
    return float(np.linalg.norm(values - values.mean(axis=-1, keepdims=True), axis=-1).mean())


def is_grey(photo: Photo) -> bool:
    """Whether a photograph is black and white; one in nine of its pixels are looked at."""
    return colorfulness(photo[::3, ::3]) < LEAST_COLOR
