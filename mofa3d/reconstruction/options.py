"""Which files are written for a reconstructed face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mofa3d.numeric_options import TEXELS, check_ranges

Format = Literal["glb", "obj", "ply"]
Look = Literal["none", "model", "photograph"]


@dataclass(frozen=True)
class OutputOptions:
    """Which files are written for a face besides its code, its camera and two pictures.

    Attributes:
        formats: of the mesh; none is a choice too.
        texture: the colors of mesh.glb and mesh.obj: the reflectance that the photograph shows; the model's; or, in
            mesh.glb, the model's at the vertices without a texture.
        texture_size: texels along each side of the texture.
        morph_targets: number of expression modes to add to mesh.glb as morph targets.
        blendshapes: expression units to add to mesh.glb as morph targets, such as ``jawOpen``; ``all`` for all units
            of the face model.
        turntable: write pictures and a video of the face on a turntable.
    """

    formats: tuple[Format, ...] = ("glb", "obj", "ply")
    texture: Look = "photograph"
    texture_size: int = 1024
    morph_targets: int = 0
    blendshapes: tuple[str, ...] = ()
    turntable: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, texture_size=TEXELS, morph_targets=(0, 100_000))
