"""Awkward and damaged files with the content of a photograph, or without."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that says it has side × side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(bytes(1000)), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks.items())


def turned(image: Image.Image, orientation: int) -> bytes:
    """A JPEG that a viewer shows upright because of its EXIF orientation."""
    undo = {
        1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270],
    }  # fmt: skip
    for step in undo[orientation]:
        image = image.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", quality=95, exif=exif)


def good_files(face: Image.Image) -> dict[str, bytes]:
    """Unusual files in which the face must be found."""
    grey = np.asarray(face.convert("L"))
    _, deep = cv2.imencode(".png", np.asarray(face)[..., ::-1].astype(np.uint16) * 257)
    _, floats = cv2.imencode(".tiff", np.asarray(face)[..., ::-1].astype(np.float32) / 255)
    _, twelve = cv2.imencode(".png", np.asarray(face)[..., ::-1].astype(np.uint16) * 16)
    other = face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    files = {f"exif {n} {i}.jpg": turned(face, n) for n in range(1, 9) for i in range(5)}
    for i in range(5):
        files |= {
            f"deep grey {i}.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
            f"deep color {i}.png": deep.tobytes(),
            f"cmyk {i}.jpg": encoded(face.convert("CMYK"), "JPEG", quality=95),
            f"rgba {i}.png": encoded(face.convert("RGBA"), "PNG"),
            f"palette {i}.png": encoded(face.quantize(256), "PNG"),
            f"animated {i}.gif": encoded(face, "GIF", save_all=True, append_images=[other]),
            f"tiff {i}.tif": encoded(face, "TIFF"),
            f"wrong suffix {i}.jpg": encoded(face, "PNG"),
            f"ordner ü {i}/ein  gesicht {i} 顔 '\"$.jpg": encoded(face, "JPEG", quality=95),
            f"progressive {i}.JPG": encoded(face, "JPEG", quality=95, progressive=True),
        }
    return files | {
        "deep floats.tif": floats.tobytes(),
        "deep grey floats.tif": encoded(Image.fromarray(grey / np.float32(255)), "TIFF"),
        "deep color of 12 bits.png": twelve.tobytes(),
        "jfif.jfif": encoded(face, "JPEG", quality=95),
        "avif.avif": encoded(face, "AVIF", quality=95),
        "without a suffix": encoded(face, "WEBP", quality=95),
    }


def bad_files(face: Image.Image) -> dict[str, bytes]:
    """Files without a usable face."""
    jpeg, random = encoded(face, "JPEG", quality=90), np.random.default_rng(0)
    files = {f"cut {i}.jpg": jpeg[: 400 + (len(jpeg) - 2000) * i // 40] for i in range(40)}
    files |= {f"noise {i}.jpg": random.bytes(int(random.integers(1, 4000))) for i in range(20)}
    for i in range(5):
        files |= {
            f"empty {i}.jpg": b"",
            f"text {i}.jpg": b"This is no photograph.\n" * i,
            f"html {i}.png": b"<!doctype html><title>404</title>",
            f"tiny {i}.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
            f"thin {i}.png": encoded(Image.new("RGB", (30_000, 10)), "PNG"),
            f"high {i}.png": encoded(Image.new("RGB", (3, 30_000)), "PNG"),
            f"bomb {i}.png": bomb(20_000 + i),
            f"zeros {i}.jpg": bytes(5000),
            f"video {i}.mp4": b"\x00\x00\x00\x18ftypmp42" + bytes(100),
            f"archive {i}.tar": b"ustar" * 200,
        }
    return files
