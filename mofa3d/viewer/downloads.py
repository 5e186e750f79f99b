"""The files that visitors take home."""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mofa3d import export
from mofa3d.data.photo import Photo
from mofa3d.inference import Reconstruction, lay_over
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Renderer
from mofa3d.viewer.drawing import png

# What each download is called, and its label on the page.
FILES = {
    "face.glb": "GLB",
    "face_obj.zip": "OBJ",
    "face.ply": "PLY",
    "code.json": "Code",
    "overlay.png": "Overlay",
}
TEXTURE_SIZE = 1024


@dataclass(frozen=True)
class Downloads:
    """Writes files in a temporary folder and hands over their bytes.

    Attributes:
        model: of the faces.
        render: as in `mofa3d.inference.lay_over`.
        rasterize: finds the texels of the OBJ's texture.
    """

    model: MorphableModel
    render: Renderer
    rasterize: export.texture.Rasterize

    def __call__(self, name: str, photo: Photo, photo_name: str, found: Reconstruction) -> bytes:
        """The content of one file.

        Args:
            name: one of `FILES`.
            photo_name: is written into ``code.json``.

        Raises:
            ValueError: no such file.
        """
        if name not in FILES:
            raise ValueError(f"there is no download {name!r}; take one of {', '.join(FILES)}")
        if name == "overlay.png":
            return png(lay_over(photo, found, self.render))
        with tempfile.TemporaryDirectory(prefix="mofa3d-") as folder:
            return self._write(Path(folder), name, photo_name, found)

    def _write(self, folder: Path, name: str, photo_name: str, found: Reconstruction) -> bytes:
        scene, path = found.scene, folder / name
        if name == "code.json":
            crop = {"left": found.transform.left, "top": found.transform.top, "scale": found.transform.scale}
            export.write_code(path, found.code, {"photo": photo_name, "crop": crop})
        elif name == "face_obj.zip":
            texture = export.Texture(self._layout, export.bake(self._texels, scene.reflectance[0]))
            export.write_textured_obj(folder / "face.obj", scene.vertices[0], texture)
            return _zipped([folder / f"face{suffix}" for suffix in (".obj", ".mtl", ".png")])
        else:
            export.write_mesh(path, self.model, scene.vertices[0], scene.reflectance[0])
        return path.read_bytes()

    @cached_property
    def _layout(self) -> export.TextureLayout:
        return export.texture_layout(self.model)

    @cached_property
    def _texels(self) -> export.Texels:
        return export.find_texels(self._layout, TEXTURE_SIZE, self.rasterize)


def _zipped(paths: list[Path]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return file.getvalue()
