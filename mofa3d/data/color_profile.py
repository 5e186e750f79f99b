"""Colors of any space in sRGB, by their ICC profile or by what else the file says about them.

Relative colorimetric with black point compensation, by littleCMS. What says nothing about its colors, or something that
cannot be, is taken for sRGB; CMYK without a profile has inks that only absorb. PNG's ``gAMA`` and ``cHRM`` count where
there is neither a profile nor ``sRGB``, in the order of its specification.
"""

from __future__ import annotations

import io
import re
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageCms

from mofa3d.data.matrix_profile import BT2020, DISPLAY_P3, SRGB, Primaries, matrix_profile

SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}  # of modes, by their names in profiles
CLASSES = ("mntr", "scnr", "prtr", "spac")  # of profiles that belong to pictures
SAME = 2  # of 256 levels: profiles that move no color by more are sRGB
BRIGHT, MIDDLE = 128, (8, 248)  # a profile is broken whose white is darker, or whose middle grey beyond these
USUAL_GAMMA = 1 / 2.2  # PNG writes sRGB so, for programs that do not know better
TABLE = 1 << 16  # bytes of a file in which its table of contents ends
NAMED = {9: BT2020, 12: DISPLAY_P3}  # numbers of primaries in ISO 23091-2

Transform = ImageCms.ImageCmsTransform


def to_srgb(image: Image.Image, info: dict) -> Image.Image:
    """A picture in sRGB; the same object if that is what it is.

    Args:
        image: of the mode L, RGB, CMYK or LAB.
        info: what its file says, by Pillow's names.
    """
    if image.mode == "LAB":
        return _from_lab().apply(image)
    profile = _profile(info)
    transform = _transform(profile, image.mode) if profile else None
    if transform is None and image.mode != "RGB":
        image = image.convert("RGB")
        transform = _transform(profile, "RGB") if profile else None  # greys may have the profile of a display
    return image if transform is None else transform.apply(image)


def _profile(info: dict) -> bytes | None:
    if info.get("icc_profile"):
        return info["icc_profile"]
    if isinstance(named := info.get("nclx_profile"), dict):  # of HEIC and AVIF
        return _made(NAMED.get(named.get("color_primaries", 1)), None)
    if "srgb" in info or not info.keys() & {"gamma", "chromaticity"}:
        return None
    gamma = float(info.get("gamma", USUAL_GAMMA))
    points = info.get("chromaticity")
    primaries = Primaries(*(tuple(points[at : at + 2]) for at in (0, 2, 4, 6))) if points else SRGB
    if abs(gamma - USUAL_GAMMA) < 0.005:
        return _made(primaries, None)
    return _made(primaries, 1 / gamma) if 0.1 <= gamma <= 10 else None


def stated_colors(file: io.BufferedIOBase) -> dict:
    """What an AVIF file says of its colors besides a profile, as `to_srgb` takes it, for Pillow does not tell."""
    file.seek(0)
    found = re.search(rb"colrnclx(..)", file.read(TABLE), re.DOTALL)
    return {"nclx_profile": {"color_primaries": int.from_bytes(found[1], "big")}} if found else {}


@lru_cache(maxsize=8)
def _made(primaries: Primaries | None, exponent: float | None) -> bytes | None:
    try:
        return matrix_profile(primaries, exponent) if primaries else None
    except ValueError:  # of matrix_profile(), where no display has these
        return None


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> Transform | None:
    """What brings pictures to sRGB; ``None`` if they are there, or the profile cannot be used."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        about = source.profile
        if about.xcolor_space.strip() != SPACES[mode] or about.device_class.strip() not in CLASSES:
            return None
        transform = _between(source, mode)
        return transform if _is_another(transform, mode) else None
    except Exception:  # littleCMS and Pillow raise what the damaged bytes lead to
        return None


def _between(source: ImageCms.ImageCmsProfile, mode: str) -> Transform:
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags)


@cache
def _from_lab() -> Transform:
    return _between(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _is_another(transform: Transform, mode: str) -> bool:
    """Whether a transform is a real one: it changes colors, and light and dark stay what they are."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    levels = [steps] * (1 if mode == "L" else len(mode))
    colors = np.stack(np.meshgrid(*levels, indexing="ij"), axis=-1).reshape(1, -1, len(levels))
    probe = Image.fromarray(colors[..., 0] if mode == "L" else colors, mode)
    moved = np.asarray(transform.apply(probe)).astype(int)[0]
    if mode == "CMYK":
        return bool(moved[0].mean() >= BRIGHT)
    sound = moved[-1].mean() >= BRIGHT and MIDDLE[0] <= moved[len(moved) // 2].mean() <= MIDDLE[1]
    return bool(sound and np.abs(moved - np.asarray(probe.convert("RGB"))[0]).max() > SAME)
