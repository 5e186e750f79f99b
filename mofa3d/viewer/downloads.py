"""The files that visitors take home."""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mofa3d.data.photo import Photo
from mofa3d.errors import InputError
from mofa3d.export.obj import side_files
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.viewer.drawing import png

# What each download is called, and its label on the page.
FILES = {
    "face.glb": "GLB",
    "face_obj.zip": "OBJ",
    "face.ply": "PLY",
    "code.json": "Code",
    "overlay.png": "Overlay",
}


@dataclass(frozen=True)
class Downloads:
    """Writes files in a temporary folder and hands over their bytes.

    Attributes:
        writer: writes them. A texture of the photograph would not show what the sliders do to the skin.
    """

    writer: ReconstructionWriter

    def __call__(self, name: str, photo: Photo, photo_name: str, found: Reconstruction) -> bytes:
        """The content of one file.

        Args:
            name: one of `FILES`.
            photo_name: is written into ``code.json``.

        Raises:
            InputError: no such file.
        """
        if name not in FILES:
            raise InputError(f"there is no download {name!r}; take one of {', '.join(FILES)}")
        if name == "overlay.png":
            return png(lay_over(photo, found, self.writer.render))
        with tempfile.TemporaryDirectory(prefix="mofa3d-") as folder:
            path = Path(folder, name)
            if name == "code.json":
                self.writer.write_code(path, photo_name, found)
            elif name == "face_obj.zip":
                mesh = path.with_name("face.obj")
                self.writer.write_meshes([mesh], photo, found)
                return _zipped([mesh, *side_files(mesh)])
            else:
                self.writer.write_meshes([path], photo, found)
            return path.read_bytes()


def _zipped(paths: list[Path]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return file.getvalue()
