"""Image files of many formats, damaged at random, and what reads them where it can do no harm."""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress

import cv2
import numpy as np
from PIL import Image

from mofa3d.data.detect import detect_faces
from mofa3d.data.photo import read_photo
from mofa3d.errors import InputError

EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 20_000, 1 << 24]
GIGABYTE = 1 << 30


def samples(face: Image.Image) -> dict[str, bytes]:
    """A small file of each format that Pillow writes, by suffix; variants have names before it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x9286] = 6, "a face", b"ASCII\0\0\0more"
    grey, rgba = face.convert("L"), face.convert("RGBA")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = face.transpose(Image.Transpose.ROTATE_90)
    several = {"save_all": True, "append_images": [turned]}
    made: dict[str, tuple[Image.Image, dict]] = {
        "a.jpg": (face, {"quality": 90, "exif": exif}),
        "progressive.jpg": (face, {"progressive": True}),
        "cmyk.jpg": (face.convert("CMYK"), {}),
        "two.mpo": (face, several),
        "a.png": (face, {"exif": exif}),
        "deep.png": (deep, {}),
        "palette.png": (face.quantize(16), {"transparency": 3}),
        "moving.png": (face, several),
        "a.webp": (face, {"exif": exif}),
        "lossless.webp": (rgba, {"lossless": True}),
        "moving.webp": (face, several),
        "a.avif": (face, {"exif": exif}),
        "moving.gif": (face.quantize(16), several),
        "a.tif": (face, {"exif": exif}),
        "lzw.tif": (face, {"compression": "tiff_lzw"}),
        "jpeg.tif": (face, {"compression": "jpeg"}),
        "deflate.tif": (grey.convert("F"), {"compression": "tiff_adobe_deflate"}),
        "fax.tif": (grey.convert("1"), {"compression": "group4"}),
        "a.bmp": (face, {}),
        "a.ico": (rgba.resize((64, 64)), {}),
        "a.icns": (rgba.resize((64, 64)), {}),
        "a.tga": (rgba, {"compression": "tga_rle"}),
        "a.ppm": (face, {}),
        "a.pgm": (grey, {}),
        "a.pfm": (grey.convert("F"), {}),
        "a.jp2": (face, {}),
        "a.dds": (rgba, {}),
        "a.sgi": (face, {}),
        "a.pcx": (face, {}),
        "a.im": (face, {}),
        "a.spider": (grey.convert("F"), {}),
        "a.msp": (grey.convert("1"), {}),
        "a.xbm": (grey.convert("1"), {}),
        "a.blp": (face.quantize(16), {"blp_version": "BLP2"}),
        "a.qoi": (face, {}),
        "a.eps": (face, {}),
    }
    files = {}
    for name, (image, options) in made.items():
        data = io.BytesIO()
        with suppress(KeyError, OSError, ValueError):  # a Pillow that is built without it
            image.save(data, {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000", "pgm": "PPM", "pfm": "PPM"}.get(
                name.rpartition(".")[2], name.rpartition(".")[2].upper()), **options)  # fmt: skip
            files[name] = data.getvalue()
    return files


def damaged(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """The content with a few mistakes, many of them in its head."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        length = max(1, len(data))
        reach = length if random.random() < 0.5 else min(length, 200)
        at, size = int(random.integers(reach)), int(random.integers(1, 40))
        kind = int(random.integers(7))
        if kind == 0:
            data[at : at + 1] = random.bytes(1)
        elif kind == 1:
            data[at : at + size] = random.bytes(size)
        elif kind == 2:
            width = int(random.choice([1, 2, 4]))
            number = int(random.choice(EXTREMES)) % (1 << 8 * width)
            data[at : at + width] = number.to_bytes(width, "big" if random.random() < 0.5 else "little")
        elif kind == 3:
            del data[at : at + size]
        elif kind == 4:
            data[at:at] = data[at : at + size] * int(random.integers(1, 20))
        elif kind == 5:
            del data[max(8, at) :]
        else:
            start = int(random.integers(max(1, len(other))))
            data[at : at + size] = other[start : start + size]
    return bytes(data)


class Guarded:
    """Reads and searches files of at most some gigabytes more than the process has; gives what came of it and when.

    What came of it is the number of faces, the reason of a refusal, or a traceback.
    """

    def __init__(self, gigabytes: float) -> None:
        import resource

        cv2.setNumThreads(1)
        detect_faces(np.zeros((64, 64, 3), dtype=np.uint8))  # what this takes is not the files'
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        limit = taken + int(gigabytes * GIGABYTE)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def __call__(self, files: list[tuple[str, bytes]]) -> Iterator[tuple[str, object, float]]:
        for name, content in files:
            start = time.perf_counter()
            kind, result = _outcome(lambda name=name, content=content: read_photo(io.BytesIO(content), name))
            yield kind, result, time.perf_counter() - start


def _outcome(read: Callable) -> tuple[str, object]:
    try:
        photo = read()
    except InputError as error:
        return "refused", str(error)
    except BaseException:
        return "traceback", traceback.format_exc()
    try:
        return "read", len(detect_faces(photo))
    except BaseException:
        return "traceback", traceback.format_exc()
