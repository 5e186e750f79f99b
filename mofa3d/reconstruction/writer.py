"""Write everything about a reconstructed face into a folder of its own.

What only some of the files need is imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mofa3d.data.photo import Photo
from mofa3d.export.face_textures import FaceTextures
from mofa3d.export.gltf import write_glb
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.reconstruction.reconstructor import Reconstruction, pictures
from mofa3d.scene import Renderer

if TYPE_CHECKING:
    from mofa3d.export.morphs import MorphTargets
    from mofa3d.models.expression_units import Units
    from mofa3d.reconstruction.arkit_take import ArkitFit

FILM_RATE = 24  # per second
MILLIMETRES = {"mm": 1.0, "m": 1e-3}  # of PLY and OBJ files


@dataclass(frozen=True)
class ReconstructionWriter:
    """Writes what the options ask for.

    Attributes:
        textures: gives the model too.
        render: a raster backend with a black background, as `make_renderer("cpu")`.
        options: what to write.
    """

    textures: FaceTextures
    render: Renderer
    options: OutputOptions = field(default_factory=OutputOptions)

    def __post_init__(self) -> None:
        # Wrong numbers are told before anything is done.
        self.morph_targets()

    @property
    def model(self) -> MorphableModel:
        return self.textures.model

    @cached_property
    def units(self) -> Units:
        """All units of expression of the model."""
        from mofa3d.models.expression_units import expression_units

        return expression_units(self.model)

    @cached_property
    def arkit(self) -> ArkitFit | None:
        """What finds the weights of ARKit's units, if the face model has these."""
        from mofa3d.models.arkit import has_arkit

        if not has_arkit(self.units):
            return None
        from mofa3d.reconstruction.arkit_take import ArkitFit

        return ArkitFit(self.model, self.units)

    def chosen_units(self) -> dict[str, Tensor]:
        """The units of expression that were asked for."""
        if not self.options.blendshapes:
            return {}
        from mofa3d.models.expression_units import choose_units

        return choose_units(self.units, self.options.blendshapes)

    def morph_targets(self) -> MorphTargets | None:
        """Columns of the expression basis, then units of expression, if any were asked for."""
        if not self.options.morph_targets and not self.options.blendshapes:
            return None
        from mofa3d.export.morphs import MorphTargets, expression_targets, unit_targets

        columns = expression_targets(self.model, self.options.morph_targets)
        named = unit_targets(self.model, self.chosen_units())
        displacements = torch.cat([columns.displacements, named.displacements])
        return MorphTargets(columns.names + named.names, displacements)

    def __call__(self, folder: Path, name: str, photo: Photo, found: Reconstruction) -> None:
        """Write everything about one face, in place of files of the same names.

        Args:
            folder: of this face; missing folders are made.
            name: of the photograph, for the record.
            photo, found: the face.
        """
        from mofa3d.export.photo_camera import photo_camera, write_camera
        from mofa3d.files.whole_pictures import write_picture

        folder.mkdir(parents=True, exist_ok=True)
        arkit = self.write_arkit(folder / "arkit.csv", found)
        self.write_code(folder / "code.json", name, found, arkit)
        write_camera(folder / "camera.json", photo_camera(found.scene, found.transform, *photo.shape[:2]))
        overlay, panels = pictures(photo, found, self.render)
        write_picture(folder / "overlay.png", overlay)
        write_picture(folder / "panels.png", panels)
        self.write_meshes([folder / f"mesh.{kind}" for kind in self.options.formats], photo, found)
        if self.options.turntable:
            self.write_turntable(folder / "turntable.mp4", found, folder / "turntable.png")

    def write_turntable(self, path: Path, found: Reconstruction, pictures: Path | None = None) -> None:
        """Write a video of the face on a turntable, and some of its pictures side by side if they are to be kept."""
        from mofa3d.export.video import write_video
        from mofa3d.files.whole_pictures import write_picture
        from mofa3d.pictures.turntable import sheet, turntable

        film = turntable(self.model, found.code, self.render)
        if pictures is not None:
            write_picture(pictures, sheet(film))
        write_video(path, film, FILM_RATE)

    def write_code(self, path: Path, name: str, found: Reconstruction, extra: dict | None = None) -> None:
        """Write the code, the path of the photograph, and the position of the crop in it.

        Args:
            path: of the file.
            name: of the photograph.
            found: the face.
            extra: to be written too.
        """
        from mofa3d.export.codes import write_code
        from mofa3d.reconstruction.photo_places import name_photo

        about = {**name_photo(name, path.parent), "crop": asdict(found.transform), **(extra or {})}
        write_code(path, found.code, about)

    def write_arkit(self, path: Path, found: Reconstruction) -> dict[str, float]:
        """Write the weights of ARKit's units if the face model has these; returns their error, for the code's file."""
        if self.arkit is None:
            return {}
        from mofa3d.export.arkit_csv import write_arkit

        take, error = self.arkit.photograph(found.scene, found.code.expression, found.transform)
        write_arkit(path, take)
        return {"arkit_error_mm": round(error, 3)}

    def write_meshes(self, paths: Sequence[Path], photo: Photo, found: Reconstruction) -> None:
        """Write one face as several files, whose suffixes choose their formats.

        Raises:
            InputError: a suffix other than .glb, .obj and .ply, or an OBJ file whose name has spaces.
        """
        vertices, reflectance = found.scene.vertices[0], found.scene.reflectance[0]
        if self.options.neutral:
            vertices = self.model.geometry(found.code.shape, torch.zeros_like(found.code.expression))[0]
        length = MILLIMETRES[self.options.units] * vertices
        suffixes = {path.suffix.lower() for path in paths}
        # An OBJ file has no place for colors but a texture.
        plain = self.options.texture == "none"
        texture = None
        if ".obj" in suffixes or (".glb" in suffixes and not plain):
            look = "model" if plain else self.options.texture
            texture = self.textures(found.scene, photo, found.transform, look, self.options.texture_size)
        for path in paths:
            if path.suffix.lower() == ".glb":
                targets = self.morph_targets()
                write_glb(path, vertices, self.model.faces, reflectance if plain else texture, targets)
            elif path.suffix.lower() == ".obj":
                from mofa3d.export.obj import write_textured_obj

                write_textured_obj(path, length, texture)
            else:
                from mofa3d.export.meshes import write_mesh

                write_mesh(path, self.model, length, reflectance)
