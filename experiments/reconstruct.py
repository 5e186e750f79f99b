"""Reconstruct the faces of photographs: a code, an overlay and two textured meshes for each.

    python experiments/reconstruct.py PHOTO... --checkpoint runs/default --out reconstructions
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import tyro
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
    cv2.imwrite(str(folder / "overlay.png"), lay_over(photo, found, render)[..., ::-1])
    cv2.imwrite(str(folder / "panels.png"), crop_panels(found, render)[..., ::-1])
    for name in ("mesh.glb", "mesh.ply"):
        write_mesh(folder / name, model, scene.vertices[0], scene.reflectance[0])


def main(config: Config) -> int:
    reconstructor = Reconstructor.open(config.checkpoint, config.device)
    render = make_renderer("cpu")
    failed = 0
    for path in config.photos:
        try:
            photo = read_photo(path)
            faces = reconstructor(photo, config.every_face)
        except ValueError as error:
            failed += 1  # the other photographs are still worth doing
            print(f"error: {error}" if str(path) in str(error) else f"error: {path}: {error}", file=sys.stderr)
            continue
        for number, found in enumerate(faces):
            folder = config.out / (path.stem if len(faces) == 1 else f"{path.stem}_{number}")
            write(folder, path, photo, found, reconstructor, render)
            print(f"{path} -> {folder}")
    return 2 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Config, description=__doc__)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
