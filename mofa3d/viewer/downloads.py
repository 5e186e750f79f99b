"""The files that visitors take home: a new one is one more line in `FILES`."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mofa3d.data.photo import Photo
from mofa3d.decoder import Decoder
from mofa3d.editing.edit import draw
from mofa3d.errors import InputError
from mofa3d.export.gltf import Texture, write_glb
from mofa3d.export.obj import side_files, write_textured_obj
from mofa3d.export.photo_camera import photo_camera, write_camera
from mofa3d.files.whole_pictures import write_picture
from mofa3d.models.arkit import has_arkit
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over, pictures
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.renderers import make_renderer

TEXELS = 1024
DARKEST = 5  # of 255, below which a ratio of colors says nothing


@dataclass(frozen=True)
class Subject:
    """What a file is about.

    Attributes:
        writer: writes it.
        photo: the whole photograph.
        name: of the photograph.
        start: the face as it was reconstructed.
        found: the face as the sliders say.
    """

    writer: ReconstructionWriter
    photo: Photo
    name: str
    start: Reconstruction
    found: Reconstruction

    @cached_property
    def texture(self) -> Texture:
        """What the photograph shows of the face, with what the sliders do to the skin."""
        textures = self.writer.textures

        def baked(face: Reconstruction, look: Literal["model", "photograph"]) -> Texture:
            return textures(face.scene, self.photo, face.transform, look, TEXELS)

        shown = baked(self.start, "photograph")
        if self.found.scene.reflectance.equal(self.start.scene.reflectance):
            return shown
        before, after = (
            np.maximum(baked(face, "model").image.astype(np.float32), DARKEST) for face in (self.start, self.found)
        )
        return replace(shown, image=np.round((shown.image * (after / before)).clip(0, 255)).astype(np.uint8))


def _glb(path: Path, subject: Subject) -> None:
    write_glb(path, subject.found.scene.vertices[0], subject.writer.model.faces, subject.texture)


def _rig(path: Path, subject: Subject) -> None:
    writer, code = subject.writer, subject.found.code
    rest = writer.model.geometry(code.shape, torch.zeros_like(code.expression))[0]
    units = "arkit" if has_arkit(writer.units) else "all"
    targets = replace(writer, options=OutputOptions(blendshapes=(units,))).morph_targets()
    write_glb(path, rest, writer.model.faces, subject.texture, targets)


def _arkit(path: Path, subject: Subject) -> None:
    subject.writer.write_arkit(path, subject.found)


def _obj(path: Path, subject: Subject) -> None:
    mesh = path.with_name("face.obj")
    write_textured_obj(mesh, subject.found.scene.vertices[0], subject.texture)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (mesh, *side_files(mesh)):
            archive.write(file, file.name)


def _ply(path: Path, subject: Subject) -> None:
    subject.writer.write_meshes([path], subject.photo, subject.found)


def _code(path: Path, subject: Subject) -> None:
    subject.writer.write_code(path, subject.name, subject.found)


def _camera(path: Path, subject: Subject) -> None:
    found = subject.found
    write_camera(path, photo_camera(found.scene, found.transform, *subject.photo.shape[:2]))


def _texture(path: Path, subject: Subject) -> None:
    write_picture(path, subject.texture.image)


def _overlay(path: Path, subject: Subject) -> None:
    write_picture(path, lay_over(subject.photo, subject.found, subject.writer.render, start=subject.start))


def _edited(path: Path, subject: Subject) -> None:
    found, writer = subject.found, subject.writer
    decode, sharp = Decoder(writer.model, found.scene.camera), make_renderer("cpu", antialias=False)
    write_picture(path, draw(subject.photo, subject.start, found.code, decode, writer.render, sharp)[0])


def _turntable(path: Path, subject: Subject) -> None:
    subject.writer.write_turntable(path, subject.found)


def _panels(path: Path, subject: Subject) -> None:
    drawn = pictures(subject.photo, subject.found, subject.writer.render, start=subject.start)
    write_picture(path, drawn.panels)


@dataclass(frozen=True)
class Download:
    """One file.

    Attributes:
        label: in plain words.
        about: what it is for.
        write: writes it.
        needs_arkit: whether only face models with ARKit's units have it.
    """

    label: str
    about: str
    write: Callable[[Path, Subject], None]
    needs_arkit: bool = False


FILES = {
    "face.glb": Download("GLB", "textured mesh for Blender, web pages and game engines", _glb),
    "rig.glb": Download("Neutral rig", "the face at rest, with every expression as a morph target", _rig),
    "arkit.csv": Download("ARKit weights", "the expression for Unreal, Unity, Blender", _arkit, needs_arkit=True),
    "face_obj.zip": Download("OBJ", "textured mesh with its material and its texture", _obj),
    "face.ply": Download("PLY", "mesh with colors at its vertices", _ply),
    "texture.png": Download("Texture", "reflectance of the skin as the photograph shows it", _texture),
    "edited.png": Download("Edited photograph", "with what the sliders change", _edited),
    "overlay.png": Download("Overlay", "the face laid over the photograph", _overlay),
    "panels.png": Download("Panels", "geometry, reflectance and light side by side", _panels),
    "turntable.mp4": Download("Turntable", "a video of the face that turns around", _turntable),
    "code.json": Download("Code", "all numbers of the face", _code),
    "camera.json": Download("Camera", "where the photograph was taken from", _camera),
}


@dataclass(frozen=True)
class Downloads:
    """Writes files in a temporary folder and hands over their bytes.

    Attributes:
        writer: writes them; its options say nothing about textures here.
    """

    writer: ReconstructionWriter

    @cached_property
    def offered(self) -> dict[str, Download]:
        """Those of `FILES` that there are for the face model."""
        arkit = has_arkit(self.writer.units)
        return {name: file for name, file in FILES.items() if arkit or not file.needs_arkit}

    def __call__(self, name: str, photo: Photo, photo_name: str, start: Reconstruction, found: Reconstruction) -> bytes:
        """The content of one file.

        Args:
            name: one of those that are `offered`.
            photo, photo_name, start, found: see `Subject`.

        Raises:
            InputError: no such file.
        """
        if name not in self.offered:
            raise InputError(f"there is no download {name!r}; take one of {', '.join(self.offered)}")
        with tempfile.TemporaryDirectory(prefix="mofa3d-") as folder:
            path = Path(folder, name)
            self.offered[name].write(path, Subject(self.writer, photo, photo_name, start, found))
            return path.read_bytes()
