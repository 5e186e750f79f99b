"""A face of a photograph in one state: everything that a browser is shown of it."""

from __future__ import annotations

from dataclasses import dataclass

from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.viewer import drawing, mesh_data
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.upload import Upload


@dataclass(frozen=True)
class FaceView:
    """What is shown of a face.

    Attributes:
        tools: draw it.
        upload: the photograph.
        number: of the face in it.
        start: the face as it was reconstructed.
        found: the face as the sliders say.
        name: of the face's texture; another texture has another name.
        textures: JPEG files that were made already, by their names.
    """

    tools: Tools
    upload: Upload
    number: int
    start: Reconstruction
    found: Reconstruction
    name: str
    textures: dict[str, bytes]

    def picture(self, kind: str, full: bool = False) -> bytes:
        """The photograph as JPEG in one of `mofa3d.viewer.drawing.PICTURES`.

        Args:
            full: in all its pixels, instead of as many as the page shows at first.
        """
        photo = self.upload.photo if full else self.upload.shown
        return drawing.jpeg(drawing.picture(kind, photo, self.upload.width, self.start, self.found, self.tools))

    def vertices(self, look: str) -> bytes:
        """The face for the 3D view; see `mofa3d.viewer.mesh_data.vertex_bytes`."""
        return mesh_data.vertex_bytes(self.found.scene, self.start.scene, look, self.tools.layout)

    def texture(self) -> bytes:
        """The face's reflectance as the photograph shows it, a JPEG file."""
        if self.name not in self.textures:
            with self.tools.one_at_a_time:
                self.textures[self.name] = drawing.texture(self.upload.photo, self.start, self.tools.textures)
        return self.textures[self.name]

    def file(self, name: str) -> bytes:
        """One of the files that `mofa3d.viewer.downloads.Downloads` offers.

        Raises:
            InputError: no such file.
        """
        with self.tools.one_at_a_time:
            return self.tools.download(name, self.upload.photo, self.upload.name, self.start, self.found)
