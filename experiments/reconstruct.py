"""Reconstruct the faces of photographs: a code, an overlay and two textured meshes for each.

    python experiments/reconstruct.py PHOTO... --checkpoint runs/default --out reconstructions
    python experiments/reconstruct.py PHOTO... --checkpoint runs/default --texture photograph --obj --turntable
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import tyro
from PIL import Image
from tyro.conf import Positional

from mofa3d import export, program
from mofa3d.data.photo import Photo, read_photo
from mofa3d.decoder import Decoder
from mofa3d.encoder_runtime import Runtime
from mofa3d.inference import Reconstruction, Reconstructor, folder_names, write_reconstruction
from mofa3d.scene import Renderer
from renderers import make_renderer
from renderers.cpu_rasterizer import rasterize

FILM_RATE = 24  # per second


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
    texture: Literal["none", "model", "photograph"] = "none"
    """What mesh.glb has instead of colours at its vertices."""
    texture_size: int = 1024
    """Texels along each side."""
    obj: bool = False
    """Write mesh.obj with its material and texture, which is the model's unless --texture says otherwise."""
    morph_targets: int = 0
    """How many expressions mesh.glb has as morph targets."""
    camera: bool = False
    """Write the photograph's camera for mesh.ply."""
    turntable: bool = False
    """Write pictures and a film of the turning face."""
    device: str = "cpu"
    runtime: Runtime = "auto"
    """What computes the encoder: PyTorch; onnxruntime (extra `onnx`); or whichever is done first."""


@dataclass(frozen=True)
class Writer:
    """Writes what the options ask for."""

    config: Config
    decode: Decoder

    def __post_init__(self) -> None:
        export.expression_targets(self.decode.model, self.config.morph_targets)  # a wrong number is said at once

    def __call__(self, folder: Path, photo_path: Path, photo: Photo, found: Reconstruction) -> None:
        """Write everything about one face."""
        write_reconstruction(folder, photo_path, photo, found, self.decode.model, self.render)
        self.write_meshes(folder, photo, found)
        if self.config.camera:
            camera = export.photo_camera(found.scene, found.transform, *photo.shape[:2])
            export.write_camera(folder / "camera.json", camera)
        if self.config.turntable:
            film = export.turntable(self.decode.model, found.code, self.render)
            Image.fromarray(export.sheet(film)).save(folder / "turntable.png")
            export.write_video(folder / "turntable.mp4", film, FILM_RATE)

    def write_meshes(self, folder: Path, photo: Photo, found: Reconstruction) -> None:
        """What has a texture or morph targets."""
        model, vertices, reflectance = self.decode.model, found.scene.vertices[0], found.scene.reflectance[0]
        textured = self.config.texture != "none"
        texture = self.texture(photo, found) if textured or self.config.obj else None
        targets = export.expression_targets(model, self.config.morph_targets)
        if textured or self.config.morph_targets:
            export.write_glb(folder / "mesh.glb", vertices, model.faces, texture if textured else reflectance, targets)
        if self.config.obj:
            export.write_textured_obj(folder / "mesh.obj", vertices, texture)

    def texture(self, photo: Photo, found: Reconstruction) -> export.Texture:
        if self.config.texture == "photograph":
            model = self.decode.model
            image = export.photo_texture(found.scene, photo, found.transform, model, self.texels, rasterize)
        else:
            image = export.bake(self.texels, found.scene.reflectance[0])
        return export.Texture(self.layout, image)

    @cached_property
    def render(self) -> Renderer:
        return make_renderer("cpu")

    @cached_property
    def layout(self) -> export.TextureLayout:
        return export.texture_layout(self.decode.model)

    @cached_property
    def texels(self) -> export.Texels:
        return export.find_texels(self.layout, self.config.texture_size, rasterize)


def main(config: Config) -> int:
    reconstructor = Reconstructor.open(config.checkpoint, config.device, config.runtime)
    write = Writer(config, reconstructor.decode)
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
            write(folder, path, photo, found)
            print(f"{path} -> {folder}")
    return 2 if failed else 0


if __name__ == "__main__":
    program.run(main, Config, __doc__)
