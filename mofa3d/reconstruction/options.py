"""Which files are written for a reconstructed face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mofa3d.errors import InputError
from mofa3d.numeric_options import TEXELS, check_ranges

Format = Literal["glb", "obj", "ply"]
Look = Literal["none", "model", "photograph"]
Unit = Literal["mm", "m"]


@dataclass(frozen=True)
class OutputOptions:
    """Which files are written for a face besides its code, its camera and two pictures.

    Attributes:
        formats: of the mesh; none is a choice too. Of videos, only mesh.glb is written.
        texture: the colors of mesh.glb and mesh.obj: the reflectance that the photograph shows; the model's; or, in
            mesh.glb, the model's at the vertices without a texture.
        texture_size: texels along each side of the texture.
        morph_targets: number of expression modes to add to mesh.glb as morph targets.
        blendshapes: expression units to add to mesh.glb as morph targets, such as ``jawOpen``; ``arkit`` for ARKit's
            52, ``all`` for all units of the face model.
        neutral: write the meshes with the face at rest instead of the photograph's expression, as rigs want.
        units: of mesh.obj and mesh.ply, millimetres or metres; mesh.glb is always in metres.
        turntable: write pictures and a video of the face on a turntable; of photographs only.
    """

    formats: tuple[Format, ...] = ("glb", "obj", "ply")
    texture: Look = "photograph"
    texture_size: int = 1024
    morph_targets: int = 0
    blendshapes: tuple[str, ...] = ()
    neutral: bool = False
    units: Unit = "mm"
    turntable: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, texture_size=TEXELS, morph_targets=(0, 100_000))
        for name, offered in {"texture": Look, "units": Unit}.items():
            if getattr(self, name) not in get_args(offered):
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; give one of {', '.join(map(repr, get_args(offered)))}"
                )
