"""Reconstruct the faces of photographs: a code, an overlay and two textured meshes for each.

    python experiments/reconstruct.py PHOTO... --checkpoint runs/default --out reconstructions
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from mofa3d.data.photo import read_photo
from mofa3d.inference import Reconstructor, folder_names, write_reconstruction
from renderers import make_renderer


@dataclass(frozen=True)
class Config:
    photos: Positional[tuple[Path, ...]]
    """Photographs."""
    checkpoint: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Folder of a training run, or its checkpoint.pt."""
    out: Path = Path("reconstructions")
    """Where to write; one folder per face."""
    every_face: bool = False
    """Reconstruct every face of a photograph, not only the most prominent one."""
    device: str = "cpu"


def main(config: Config) -> int:
    reconstructor = Reconstructor.open(config.checkpoint, config.device)
    render = make_renderer("cpu")
    failed = 0
    for path, name in zip(config.photos, folder_names(config.photos), strict=True):
        try:
            photo = read_photo(path)
            faces = reconstructor(photo, config.every_face)
        except ValueError as error:
            failed += 1  # the other photographs are still worth doing
            print(f"error: {error}" if str(path) in str(error) else f"error: {path}: {error}", file=sys.stderr)
            continue
        for number, found in enumerate(faces):
            folder = config.out / (name if len(faces) == 1 else f"{name}_{number}")
            write_reconstruction(folder, path, photo, found, reconstructor.decode.model, render)
            print(f"{path} -> {folder}")
    return 2 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Config, description=__doc__)))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
