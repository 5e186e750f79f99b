"""What random faces look like; without what makes them, for the command line asks before it loads PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from mofa3d.errors import InputError
from mofa3d.numeric_options import check_ranges


@dataclass(frozen=True)
class SyntheticConfig:
    """What the random faces look like; standard deviations of normal distributions.

    Attributes:
        count: images.
        shape, expression, reflectance: of the coefficients.
        yaw, pitch, roll: radians.
        shift: of t_x and t_y, mm.
        depth: of t_z, mm.
        backgrounds: a folder of photographs to put behind the faces, or "" for generated textures.
        seed: of everything.
    """

    count: int = 3000
    shape: float = 1.0
    expression: float = 0.8
    reflectance: float = 1.0
    yaw: float = 0.25
    pitch: float = 0.12
    roll: float = 0.10
    shift: float = 8.0
    depth: float = 15.0
    backgrounds: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"count must be at least 1, got {self.count}; give the number of faces to render")
        spreads = dict.fromkeys(("shape", "expression", "reflectance", "yaw", "pitch", "roll"), (0, 100))
        check_ranges(self, **spreads, count=(1, 100_000_000), shift=(0, 1000), depth=(0, 1000))
