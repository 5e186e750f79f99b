"""What all sessions of the page share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mofa3d.decoder import Decoder
from mofa3d.editing.face_measures import Measure, face_measures
from mofa3d.export.face_textures import FaceTextures
from mofa3d.export.texture_layout import TextureLayout
from mofa3d.models.expression_units import Units, expression_units
from mofa3d.reconstruction.reconstructor import Reconstructor, Refine
from mofa3d.renderers import make_renderer
from mofa3d.scene import Renderer
from mofa3d.viewer.downloads import Downloads
from mofa3d.viewer.sliders import Group, slider_groups
from mofa3d.viewer.uploads import Limits


@dataclass(frozen=True)
class Tools:
    """What all sessions share.

    Attributes:
        reconstruct: finds faces.
        render: as in `mofa3d.reconstruction.reconstructor.lay_over`.
        download: makes files.
        limits: on uploads.
    """

    reconstruct: Reconstructor
    render: Renderer
    download: Downloads
    limits: Limits = field(default_factory=Limits)
    # Many photographs must not share two cores, nor the memory.
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def decode(self) -> Decoder:
        return self.reconstruct.decode

    @property
    def textures(self) -> FaceTextures:
        return self.download.writer.textures

    @property
    def layout(self) -> TextureLayout:
        """Of the textures, and of the 3D view."""
        return self.textures.layout

    @cached_property
    def units(self) -> Units:
        """Of the face model's expressions."""
        return expression_units(self.decode.model)

    @cached_property
    def measures(self) -> Mapping[str, Measure]:
        """Of the face model's shapes."""
        return face_measures(self.decode.model)

    @cached_property
    def sliders(self) -> tuple[Group, ...]:
        """For the face model."""
        return slider_groups(self.decode.model.sizes, self.units, self.measures)

    @cached_property
    def sharp(self) -> Renderer:
        """A renderer without antialiasing, for edited photographs."""
        return make_renderer("cpu", antialias=False)

    @cached_property
    def refine(self) -> Refine:
        """Fits a face to its photograph more closely."""
        from mofa3d.reconstruction.refine import Refiner

        return Refiner(self.decode)
