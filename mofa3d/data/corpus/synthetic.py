"""Synthetic faces with known codes: the model's own renderings over varied backgrounds.

Reference: Tewari et al. 2017, Fig. 10.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mofa3d import harmonics
from mofa3d.data.corpus.blocks import finished_blocks, write_block
from mofa3d.data.corpus.config import Engine
from mofa3d.data.corpus.dataset import Corpus, Decisions, finish, is_corpus
from mofa3d.data.corpus.shards import Face, encode_crop
from mofa3d.data.corpus.synthetic_config import SyntheticConfig
from mofa3d.data.photo import find_photos, read_photo
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.files.folders import take_folder
from mofa3d.files.locks import alone
from mofa3d.scene import Renderer
from mofa3d.semantic_code import CodeSizes, SemanticCode

_LOG = logging.getLogger(__name__)
VERSION = 4  # of how codes become images
BLOCK = 256  # faces per shard
BATCH = 16  # faces rendered at once


def sample_codes(config: SyntheticConfig, count: int, sizes: CodeSizes, generator: torch.Generator) -> SemanticCode:
    """Random codes: normal coefficients and pose, and light from a few random directions."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float32)

    angles = normal(count, 3) * torch.tensor([config.pitch, config.yaw, config.roll], dtype=torch.float32)
    offsets = normal(count, 3) * torch.tensor([config.shift, config.shift, config.depth], dtype=torch.float32)
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
    number: dict[str, Any] = {"generator": generator, "dtype": torch.float32}
    directions = torch.randn(count, lamps, 3, **number) + torch.tensor([0.0, 0.5, 1.2], dtype=torch.float32)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    factors = torch.tensor([1.0] + [2 / 3] * 3 + [1 / 4] * 5, dtype=torch.float32)
    strengths = 0.35 * torch.rand(count, lamps, 1, **number) / lamps
    tints = 1 + 0.08 * torch.randn(count, lamps, 3, **number)
    lamps_light = ((strengths * harmonics.basis(directions) / factors)[..., None] * tints[..., None, :]).sum(dim=1)
    brightness, tint = torch.randn(count, 1, **number), torch.randn(count, 3, **number)
    lamps_light[:, 0] += -0.15 + 0.1 * brightness + 0.03 * tint
    return lamps_light


def texture(size: int, random: np.random.Generator) -> np.ndarray:
    """A background (size, size, 3) in 0 to 1: a few octaves of smooth colored noise, sometimes with straight edges."""
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


def background(photos: Sequence[Path], size: int, random: np.random.Generator) -> Float[np.ndarray, "S S 3"]:
    """One of the photographs, squeezed into a square, or a generated texture if there are none; in 0 to 1.

    In place of one that cannot be read comes the next one, with a warning.

    Raises:
        InputError: none can be read.
    """
    if not photos:
        return texture(size, random)
    first = int(random.integers(len(photos)))
    for path in [*photos[first:], *photos[:first]]:
        try:
            photo = read_photo(path)
        except InputError as error:
            _LOG.warning("a background is left out: %s", error)
            continue
        return cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    raise InputError(f"none of the {len(photos)} backgrounds beside {photos[0]} can be read; give other photographs")


def synthesize(
    config: SyntheticConfig, decode: Decoder, render: Renderer, out: Path, engine: Engine = "local"
) -> Corpus:
    """Render a corpus of faces, or what is missing of it.

    Every block of `BLOCK` faces has random numbers of its own, so the first faces of a larger corpus are those of a
    smaller one, and a corpus that was interrupted ends as one that was not.

    Args:
        config: what to make.
        decode: with the whole model, not a restricted one.
        render: a raster backend with a black background, whose `Rendering` has an image.
        out: folder of the corpus.
        engine: "ray" renders blocks on a Ray cluster; the result is the same.
    """
    fingerprint = fingerprint_of(replace(config, count=1), decode)
    take_folder(out, "synthesize", known=is_corpus(out))
    with alone(out):
        return _synthesize(config, decode, render, out, fingerprint, engine)


def _synthesize(
    config: SyntheticConfig, decode: Decoder, render: Renderer, out: Path, fingerprint: str, engine: Engine
) -> Corpus:
    starts = range(0, config.count, BLOCK)
    sizes = {number: min(BLOCK, config.count - start) for number, start in enumerate(starts)}

    expected = {}
    for number, size in sizes.items():
        keys = [_key(number * BLOCK + i) for i in range(size)]
        expected[keys[0]] = keys

    def is_current(found: str, photos: list[dict]) -> bool:
        keys = [photo["key"] for photo in photos]
        return found == fingerprint and bool(keys) and expected.get(keys[0]) == keys

    done = finished_blocks(out, is_current)
    photos = find_photos(Path(config.backgrounds)) if config.backgrounds else []
    blocks = {
        number: [_key(number * BLOCK + i) for i in range(size)] for number, size in sizes.items() if number not in done
    }
    with tqdm(total=config.count, desc="rendering synthetic faces", unit="face", dynamic_ncols=True) as bar:
        bar.update(sum(size for number, size in sizes.items() if number in done))
        for number, faces in _rendered(blocks, config, decode, render, photos, engine):
            records = [{"key": key, "stamp": "", "faces": 1, "removed": []} for key in blocks[number]]
            write_block(out, number, faces, partial(list, records), fingerprint)
            bar.update(len(records))
    about = {"config": asdict(config), "model": decode.model.fingerprint(), "version": VERSION}
    return finish(out, [_key(i) for i in range(config.count)], Decisions(seed=config.seed), about)


def fingerprint_of(config: SyntheticConfig, decode: Decoder) -> str:
    """Changes when any face would look different, or their number changes."""
    photos = find_photos(Path(config.backgrounds)) if config.backgrounds else []
    behind = [f"{path}-{path.stat().st_size}" for path in photos]
    values = [VERSION, asdict(config), behind, decode.model.fingerprint(), decode.camera.image_size]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _key(index: int) -> str:
    return f"synthetic#{index:08d}"


def _rendered(
    blocks: dict[int, list[str]],
    config: SyntheticConfig,
    decode: Decoder,
    render: Renderer,
    photos: Sequence[Path],
    engine: Engine,
) -> Iterator[tuple[int, Iterable[tuple[Face, bytes]]]]:
    """The faces of each block, given the keys of each."""
    if engine == "local":
        for number, keys in blocks.items():
            yield number, _render(config, decode, render, photos, (number, keys))
        return
    from mofa3d.environment.on_ray import run_on_ray

    numbers, work = list(blocks), partial(_render_elsewhere, config, decode, render, photos)
    for index, faces in run_on_ray(work, list(blocks.items())):
        yield numbers[index], faces


def _render_elsewhere(*given: Any) -> list[tuple[Face, bytes]]:
    return list(_render(*given))


@torch.no_grad()
def _render(
    config: SyntheticConfig,
    decode: Decoder,
    render: Renderer,
    photos: Sequence[Path],
    block: tuple[int, list[str]],
) -> Iterator[tuple[Face, bytes]]:
    number, keys = block
    seed = np.random.SeedSequence([config.seed, number])
    generator = torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
    random, size = np.random.default_rng(seed), decode.camera.image_size
    codes = sample_codes(config, BLOCK, decode.model.sizes, generator)[: len(keys)]
    for start in range(0, len(keys), BATCH):
        part = codes[start : start + BATCH]
        scene = decode(part)
        rgba = render(scene).require_image().permute(0, 2, 3, 1)
        color, alpha = rgba[..., :3].clamp(0, 1), rgba[..., 3:]  # color times alpha already
        behind = torch.from_numpy(np.stack([background(photos, size, random) for _ in range(len(part))]))
        images = (255 * (color + behind * (1 - alpha))).round().to(torch.uint8).cpu().numpy()
        vectors, points = part.to_vector(), scene.landmarks
        for i, image in enumerate(images):
            key = keys[start + i]
            yield _face(key, points[i], vectors[i]), encode_crop(image)


def _face(key: str, points: Tensor, code: Tensor) -> Face:
    return Face(
        key=key,
        identity=key,
        landmarks=points.double().numpy().round(3).tolist(),
        confidence=[1.0] * 68,
        given=True,
        code=code.double().numpy().round(6).tolist(),
    )
