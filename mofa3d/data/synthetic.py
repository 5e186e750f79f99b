"""Synthetic faces with known codes: the model's own renderings over varied backgrounds.

Reference: Tewari et al. 2017, Fig. 10.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from mofa3d import harmonics
from mofa3d.code_sizes import CodeSizes
from mofa3d.data.photo import find_photos, read_photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

BATCH = 16
FORMAT_VERSION = 3


@dataclass(frozen=True)
class SyntheticConfig:
    """What the random faces look like; standard deviations of normal distributions.

    Attributes:
        count: images.
        shape, expression, reflectance: of the coefficients.
        yaw, pitch, roll: radians.
        shift: of t_x and t_y, mm.
        depth: of t_z, mm.
        backgrounds: a folder of photographs to put behind the faces, or "" for generated textures.
        seed: of everything.
    """

    count: int = 3000
    shape: float = 1.0
    expression: float = 0.8
    reflectance: float = 1.0
    yaw: float = 0.25
    pitch: float = 0.12
    roll: float = 0.10
    shift: float = 8.0
    depth: float = 15.0
    backgrounds: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}; give the number of faces to render")


def sample_codes(config: SyntheticConfig, count: int, sizes: CodeSizes, generator: torch.Generator) -> SemanticCode:
    """Random codes: normal coefficients and pose, and light from a few random directions."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    angles = normal(count, 3) * torch.tensor([config.pitch, config.yaw, config.roll])
    offsets = normal(count, 3) * torch.tensor([config.shift, config.shift, config.depth])
    return SemanticCode(
        shape=config.shape * normal(count, sizes.shape),
        expression=config.expression * normal(count, sizes.expression),
        reflectance=config.reflectance * normal(count, sizes.reflectance),
        rotation=angles,
        translation=offsets,
        illumination=sample_light(count, generator),
    )


def sample_light(count: int, generator: torch.Generator, lamps: int = 2) -> Float[Tensor, "B 9 3"]:
    """Illumination codes of an ambient term and a few tinted lamps in the front hemisphere.

    A lamp of strength s in direction d adds ``s H_b(d) / a_b`` to coefficient b, where a = 1, 2/3, 1/4 are the
    clamped-cosine factors that the basis already carries once (the addition theorem of spherical harmonics).
    """
    directions = torch.randn(count, lamps, 3, generator=generator) + torch.tensor([0.0, 0.5, 1.2])
    directions = torch.nn.functional.normalize(directions, dim=-1)
    factors = torch.tensor([1.0] + [2 / 3] * 3 + [1 / 4] * 5)
    strengths = 0.35 * torch.rand(count, lamps, 1, generator=generator) / lamps
    tints = 1 + 0.08 * torch.randn(count, lamps, 3, generator=generator)
    lamps_light = ((strengths * harmonics.basis(directions) / factors)[..., None] * tints[..., None, :]).sum(dim=1)
    brightness, tint = torch.randn(count, 1, generator=generator), torch.randn(count, 3, generator=generator)
    lamps_light[:, 0] += -0.15 + 0.1 * brightness + 0.03 * tint
    return lamps_light


def texture(size: int, random: np.random.Generator) -> np.ndarray:
    """A background (size, size, 3) in 0 to 1: a few octaves of smooth coloured noise, sometimes with straight edges."""
    image = np.full((size, size, 3), random.random() + random.normal(0, 0.1, 3), dtype=np.float32)
    for octave in range(2, 7):
        cells = 2**octave
        grey = random.normal(0, 0.5 / octave, (cells, cells, 1))
        color = random.normal(0, 0.15 / octave, (cells, cells, 3))
        image += cv2.resize((grey + color).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(random.integers(0, 6)):
        corners = random.integers(0, size, (4, 2)).astype(np.int32)
        cv2.fillConvexPoly(image, cv2.convexHull(corners), random.random(3).tolist())
    return np.clip(image, 0, 1)


def backgrounds(config: SyntheticConfig, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """An endless stream of backgrounds (size, size, 3) in 0 to 1."""
    # The folder is looked up here and not at the first background, before anything is written.
    photos = find_photos(Path(config.backgrounds)) if config.backgrounds else []
    return (_background(photos, size, random) for _ in repeat(None))


def _background(photos: Sequence[Path], size: int, random: np.random.Generator) -> np.ndarray:
    if not photos:
        return texture(size, random)
    photo = read_photo(photos[random.integers(len(photos))])
    return cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


class SyntheticFaces(Dataset):
    """Rendered faces with their ground truth, cached on disk.

    Items are ``image`` (3, H, W) in 0 to 1, ``landmarks`` (68, 2) px, ``confidence`` (68,), ``code`` (257,) and
    ``index``.
    """

    def __init__(self, images: np.ndarray, codes: Tensor, landmarks: Tensor) -> None:
        self.images, self.codes, self.landmarks = images, codes, landmarks

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "image": to_tensor(self.images[index]),
            "landmarks": self.landmarks[index],
            "confidence": torch.ones(68),
            "code": self.codes[index],
            "index": torch.tensor(index),
        }


def synthetic_faces(config: SyntheticConfig, decode: Decoder, render: Renderer, cache: Path) -> SyntheticFaces:
    """Render the faces, or take them from the cache if the same model and settings made them before.

    Args:
        config: what to make.
        decode: with the whole model, not a restricted one.
        render: a raster backend with a black background, whose `Rendering` has an image.
        cache: folder for the images.
    """
    settings = {**asdict(config), "model": decode.model.fingerprint(), "size": decode.camera.image_size}
    key = hashlib.sha256(json.dumps({**settings, "version": FORMAT_VERSION}, sort_keys=True).encode()).hexdigest()[:16]
    images_path, truth_path = cache / f"synthetic-{key}.npy", cache / f"synthetic-{key}.pt"
    if not (images_path.exists() and truth_path.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        _render_all(config, decode, render, images_path, truth_path)
    truth = torch.load(truth_path, weights_only=True)
    return SyntheticFaces(np.load(images_path, mmap_mode="r"), truth["codes"], truth["landmarks"])


@torch.no_grad()
def _render_all(
    config: SyntheticConfig, decode: Decoder, render: Renderer, images_path: Path, truth_path: Path
) -> None:
    generator = torch.Generator().manual_seed(config.seed)
    size = decode.camera.image_size
    behind = backgrounds(config, size, np.random.default_rng(config.seed))
    codes = sample_codes(config, config.count, decode.model.sizes, generator)
    temporary = images_path.with_name(f".{images_path.name}.{os.getpid()}")
    images = np.lib.format.open_memmap(temporary, "w+", np.uint8, (config.count, size, size, 3))
    landmarks = []
    for start in tqdm(range(0, config.count, BATCH), desc="rendering synthetic faces", dynamic_ncols=True):
        part = codes[start : start + BATCH]
        scene = decode(part)
        rgba = render(scene).image.permute(0, 2, 3, 1)
        color, alpha = rgba[..., :3].clamp(0, 1), rgba[..., 3:]  # colour times alpha already
        background = torch.from_numpy(np.stack([next(behind) for _ in range(len(part))]))
        blended = color + background * (1 - alpha)
        images[start : start + len(part)] = (255 * blended).round().to(torch.uint8).numpy()
        landmarks.append(scene.landmarks)
    images.flush()
    truth_temporary = truth_path.with_name(f".{truth_path.name}.{os.getpid()}")
    torch.save({"codes": codes.to_vector(), "landmarks": torch.cat(landmarks)}, truth_temporary)
    os.replace(temporary, images_path)
    os.replace(truth_temporary, truth_path)
