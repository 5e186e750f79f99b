"""Textures of FLAME's UV map: the albedo of the Basel Face Model carried over to it, or FLAME's own texture space.

Both hold a mean and modes of a square image in OpenCV's order of colors (blue first), from 0 to 1 or from 0 to 255.
The modes are taken as they are stored, a standard deviation each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError
from mofa3d.files.given import read_arrays
from mofa3d.models.assembly import first_columns
from mofa3d.models.formats.source_file import SourceFile

ALBEDO = SourceFile(
    "FLAME_albedo_from_BFM.npz", "the albedo model for FLAME", "https://github.com/TimoBolkart/BFM_to_FLAME"
)
SPACE = SourceFile("FLAME_texture.npz", "FLAME's texture space", "https://flame.is.tue.mpg.de")
TEMPLATE = SourceFile("head_template.obj", "FLAME's texture coordinates", "https://flame.is.tue.mpg.de")


def read_texture(file: Path, count: int | None) -> tuple[Float[np.ndarray, "H H 3"], Float[np.ndarray, "H H 3 K"]]:
    """Mean and the first modes of a texture, RGB in 0 to 1; the keys say which of the two files it is.

    Raises:
        InputError: it is neither, or damaged.
    """
    try:
        content = read_arrays(file, ("MU", "PC", "mean", "tex_dir"))
    except InputError as error:
        raise ALBEDO.damaged(file, f"it cannot be read as an npz file ({error})") from error
    source, (mean_key, basis_key) = (SPACE, ("mean", "tex_dir"))
    if "MU" in content or "PC" in content:
        source, (mean_key, basis_key) = (ALBEDO, ("MU", "PC"))
    content = {key: content[key] for key in (mean_key, basis_key) if key in content}
    for key, array in content.items():  # some releases keep the shape of the image
        content[key] = array.reshape(-1) if key == mean_key else array.reshape(-1, array.shape[-1] if array.ndim else 1)
    mean = source.array(file, content, mean_key, (None,))
    side = round((len(mean) / 3) ** 0.5)
    if 3 * side * side != len(mean):
        raise source.damaged(file, f"{mean_key!r} has {len(mean)} numbers, not three for each pixel of a square")
    basis = first_columns(source.array(file, content, basis_key, (len(mean), None)), count, "reflectance_count")
    unit = np.float32(1 / 255 if source is SPACE else 1)
    # The last axis of the mean is blue, green, red.
    return (
        mean.reshape(side, side, 3)[..., ::-1] * unit,
        basis.reshape(side, side, 3, -1)[:, :, ::-1] * unit,
    )


def sample_texture(
    mean: Float[np.ndarray, "H H 3"], basis: Float[np.ndarray, "H H 3 K"], uv: Float[np.ndarray, "N 2"]
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3 K"]]:
    """Bilinear samples at texture coordinates with the origin at the bottom left of the image, whose first row is
    the top one; pixels have their centres at half numbers, and the border continues outwards."""
    height, width = mean.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1)
    column, row = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    right, down = x - column, y - row

    def sample(image: np.ndarray) -> np.ndarray:
        total = np.zeros((), dtype=np.float32)
        for i, j, weight in ((0, 0, (1 - down) * (1 - right)), (0, 1, (1 - down) * right), (1, 0, down * (1 - right)),
                             (1, 1, down * right)):  # fmt: skip
            total = total + image[row + i, column + j] * weight.reshape(-1, *[1] * (image.ndim - 2)).astype(np.float32)
        return total

    return sample(mean), sample(basis)
