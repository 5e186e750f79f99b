"""Reconstruct the faces of photographs: a code, an overlay and two textured meshes for each.

    python experiments/reconstruct.py PHOTO... --checkpoint runs/default --out reconstructions
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image
from tyro.conf import Positional

from mofa3d.data.photo import read_photo
from mofa3d.export import write_code, write_mesh
from mofa3d.inference import Reconstruction, Reconstructor, crop_panels, lay_over
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


def write(folder: Path, photo_path: Path, photo, found: Reconstruction, reconstructor: Reconstructor, render) -> None:
    """Write everything about one face."""
    folder.mkdir(parents=True, exist_ok=True)
    model, scene, transform = reconstructor.decode.model, found.scene, found.transform
    where = {"left": transform.left, "top": transform.top, "scale": transform.scale}
    write_code(folder / "code.json", found.code, {"photo": str(photo_path), "crop": where})
    Image.fromarray(lay_over(photo, found, render)).save(folder / "overlay.png")
    Image.fromarray(crop_panels(found, render)).save(folder / "panels.png")
    for name in ("mesh.glb", "mesh.ply"):
        write_mesh(folder / name, model, scene.vertices[0], scene.reflectance[0])


def folder_names(photos: tuple[Path, ...]) -> list[str]:
    """The photographs' names without suffix; those of other folders or suffixes that are taken already get a number."""
    names: list[str] = []
    for photo in photos:
        choices = chain([photo.stem], (f"{photo.stem}-{number}" for number in count(2)))
        names.append(next(name for name in choices if name not in names))
    return names


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
            write(folder, path, photo, found, reconstructor, render)
            print(f"{path} -> {folder}")
    return 2 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Config, description=__doc__)))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
