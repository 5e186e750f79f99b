"""Illumination codes of lights that one can name: a lamp, or an environment map.

Light lives in camera space: x to the right of the picture, y up, z towards the viewer. An environment map is the
panorama around the head as the camera sees it: its middle lies behind the face, its left to the left of the picture,
and where its two ends meet is behind the camera. That is what lights a face from the front.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d import harmonics
from mofa3d.data.photo import read_photo
from mofa3d.editing.limits import DEGREES, LIGHT
from mofa3d.errors import InputError
from mofa3d.numeric_options import within
from mofa3d.pictures.color import to_display, to_linear

COSINE_FACTORS = (1.0, *[2 / 3] * 3, *[1 / 4] * 5)  # of bands 0 to 2, which `harmonics.basis` includes
LINEAR_SUFFIXES = (".hdr", ".pic")
MOST_PIXELS = 40_000_000  # of an environment map; 8192 × 4096 are fewer
HEADER = 65_536  # bytes of a Radiance file in which its size must stand
MAP_HEIGHT = 32  # rows that irradiance is summed over: a cosine blurs more than 180° / 32
NORMALS = 24  # rows of normals at which it is asked for
SEEN = -0.25  # z of normals that can be seen, and a few more


def directional_light(
    direction: tuple[float, float, float], color: tuple[float, float, float] = (1.0, 1.0, 1.0), ambient: float = 0.5
) -> Float[Tensor, "9 3"]:
    """The code of a distant lamp and of even light from everywhere.

    Args:
        direction: to the lamp, in camera space; of any length but 0.
        color: display RGB that a white surface shows which faces it.
        ambient: display RGB that every white surface shows beside it.

    Raises:
        InputError: the direction is 0 or not finite, or a light is negative or not finite.

    Reference: Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment Maps", Eq. 12:
    what bands 0 to 2 leave of the clamped cosine.
    """
    for value in (*color, ambient):
        within("light", value, *LIGHT)
    towards = torch.tensor(direction, dtype=torch.float64)
    length = towards.norm()
    if not (length.isfinite() and length > 0):
        raise InputError(f"the direction to the lamp must be three finite numbers, not all 0; got {direction}")
    # A lamp of radiance π δ(ω − d), whose mean over the sphere is 1/4, makes surfaces that face it show 1.
    shares = harmonics.basis(towards / length) / torch.tensor(COSINE_FACTORS, dtype=torch.float64) / 4
    light = shares[:, None] * torch.tensor(color, dtype=torch.float64)
    light[0] += ambient
    return _as_code(light)


def environment_light(
    panorama: Float[np.ndarray, "H W 3"], linear: bool = False, turn: float = 0.0
) -> Float[Tensor, "9 3"]:
    """The code of the light that an environment map sheds on a head.

    Light adds up in linear RGB, while codes are about display RGB. So a map's irradiance, over π so that an even map
    of one color shows a white surface in that color, is summed in linear RGB, turned into display RGB, and there
    brought to the nine functions by least squares over the normals that can be seen.

    Args:
        panorama: equirectangular, see the module; display RGB in 0 to 1, or linear RGB of any range.
        linear: which of the two it is.
        turn: degrees by which the surroundings are turned to the right of the picture.

    Raises:
        InputError: a number is negative or not finite.
    """
    within("the turn of an environment map", turn, *DEGREES)
    if not (np.isfinite(panorama).all() and panorama.min(initial=0.0) >= 0):
        raise InputError("an environment map must be finite and not negative; this one is not")
    height = min(MAP_HEIGHT, len(panorama))
    small = cv2.resize(panorama if linear else to_linear(panorama), (2 * height, height), interpolation=cv2.INTER_AREA)
    directions, angles = sphere(height, turn)
    normals, weights = sphere(NORMALS)
    seen = normals[:, 2] > SEEN
    normals, weights = normals[seen], np.sqrt(weights[seen])[:, None]
    irradiance = (normals @ directions.T).clip(0) @ (small.reshape(-1, 3) * angles[:, None]) / math.pi
    # The sum over the grid of an even light is not exactly 1 in every direction; the exact integral is.
    irradiance /= (normals @ directions.T).clip(0) @ angles[:, None] / math.pi
    functions = harmonics.basis(torch.from_numpy(normals)).numpy()
    light, *_ = np.linalg.lstsq(weights * functions, weights * to_display(irradiance), rcond=None)
    return _as_code(torch.from_numpy(light))


def sphere(height: int, turn: float = 0.0) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "P"]]:
    """Directions and solid angles of the pixels of a map of so many rows and twice as many columns, row by row.

    Args:
        turn: see `environment_light`.
    """
    azimuth = (np.arange(2 * height) + 0.5) / height * math.pi - math.pi + math.radians(turn)
    edges = np.linspace(math.pi / 2, -math.pi / 2, height + 1)
    elevation = ((edges[1:] + edges[:-1]) / 2)[:, None]
    rows = [np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth, -np.cos(elevation) * np.cos(azimuth)]
    band = (np.sin(edges[:-1]) - np.sin(edges[1:])) * math.pi / height
    return np.stack(rows, axis=-1).reshape(-1, 3), np.repeat(band, 2 * height)


def exposed(illumination: Float[Tensor, "*B 9 3"], factor: Float[Tensor, "*#B"] | float) -> Float[Tensor, "*B 9 3"]:
    """The code of a light that is brighter by a factor; the ambient of code 0 counts.

    Raises:
        InputError: a factor is negative or not finite.
    """
    factor = torch.as_tensor(factor, dtype=illumination.dtype, device=illumination.device)[..., None, None]
    if not bool(((factor >= 0) & factor.isfinite()).all()):
        raise InputError(f"the factor of brightness must be finite and at least 0, got {factor.flatten().tolist()}")
    ambient = torch.zeros_like(illumination)
    ambient[..., 0, :] = harmonics.AMBIENT
    return factor * (illumination + ambient) - ambient


def together(first: Float[Tensor, "*B 9 3"], second: Float[Tensor, "*#B 9 3"]) -> Float[Tensor, "*B 9 3"]:
    """The code of two lights that shine at once; the ambient of code 0 counts in both."""
    total = first + second.to(first)
    total[..., 0, :] += harmonics.AMBIENT
    return total


def read_environment(path: Path) -> tuple[Float[np.ndarray, "H W 3"], bool]:
    """Read an environment map and say whether it is linear: Radiance files (``.hdr``, ``.pic``) are, photographs not.

    Raises:
        InputError: the file is missing, damaged, not twice as wide as it is high, or has more than `MOST_PIXELS`.
    """
    linear = path.suffix.lower() in LINEAR_SUFFIXES
    if linear:
        if not path.is_file():
            raise InputError(f"there is no environment map at {path}; check the path")
        _check_radiance(path)
        try:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            image = None
        if image is None or image.ndim != 3 or image.dtype != np.float32:
            raise InputError(f"{path} is not a readable Radiance picture; give a .hdr, PNG or JPEG file")
        image = np.ascontiguousarray(image[..., 2::-1])
    else:
        image = read_photo(path, max_pixels=MOST_PIXELS).astype(np.float32) / 255
    height, width = image.shape[:2]
    if not 1.9 * height <= width <= 2.1 * height:
        raise InputError(
            f"{path} has {width}×{height} pixels; an equirectangular environment map is twice as wide as it is high"
        )
    return image, linear


def _check_radiance(path: Path) -> None:
    """Read the size that a Radiance file announces, before it is unpacked."""
    with open(path, "rb") as file:
        head = file.read(HEADER)
    size = re.search(rb"\n[+-][XY] +(\d+) +[+-][XY] +(\d+)\n", head)
    if not head.startswith(b"#?") or size is None:
        raise InputError(f"{path} is not a readable Radiance picture; give a .hdr, PNG or JPEG file")
    if len(size[1]) + len(size[2]) > 12 or int(size[1]) * int(size[2]) > MOST_PIXELS:
        named = "×".join(part.decode()[:12] for part in (size[2], size[1]))
        raise InputError(
            f"{path} has {named} pixels, more than {MOST_PIXELS}; make it smaller: light needs no more than 64×32"
        )


def _as_code(light: Float[Tensor, "9 3"]) -> Float[Tensor, "9 3"]:
    """The code γ of coefficients γ' = γ + 0.7 on the constant function (Tewari et al. 2017, Eq. 3)."""
    code = light.float()
    if not bool(code.isfinite().all()):
        raise InputError("the light is so bright that its code is not finite; scale it down")
    code[0] -= harmonics.AMBIENT
    return code
