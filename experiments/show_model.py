"""Draw random faces of a face model: lit, as clay, and their reflectance.

    python experiments/show_model.py --faces.seed 3 --out docs/model.png
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from mofa3d import Camera, Decoder, load_model, pictures
from mofa3d.data.synthetic import SyntheticConfig, sample_codes
from renderers import make_renderer


@dataclass(frozen=True)
class Config:
    out: Path = Path("model.png")
    count: int = 8
    """Faces, one column each."""
    model: str = "makehuman"
    model_path: str = ""
    """File of a face model written by mofa3d, instead of a built-in one."""
    image_size: int = 160
    faces: SyntheticConfig = field(default_factory=lambda: SyntheticConfig(expression=0.5, shift=0.0, depth=0.0))
    """Spread of the random codes; of this only the standard deviations and the seed count."""


@torch.no_grad()
def main(config: Config) -> None:
    model, render = load_model(config.model, path=config.model_path or None), make_renderer("cpu")
    decode = Decoder(model, Camera(config.image_size))
    generator = torch.Generator().manual_seed(config.faces.seed)
    scene = decode(sample_codes(config.faces, config.count, decode.model.sizes, generator))
    white = torch.ones(config.count, 3, config.image_size, config.image_size)
    lit, clay = pictures.overlay(scene, render, white), pictures.geometry(scene, render)
    images = (lit, clay, pictures.reflectance(scene, render))
    rows = [np.concatenate(list(pictures.to_bytes(row)), axis=1) for row in images]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(config.out)
    print(config.out)


if __name__ == "__main__":
    try:
        main(tyro.cli(Config, description=__doc__))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
