"""What previews of face models show; without what draws it, for the command line asks before it loads PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from mofa3d.numeric_options import check_ranges


@dataclass(frozen=True)
class PreviewConfig:
    """What is drawn; spreads are standard deviations of normal distributions.

    Attributes:
        count: faces in a row.
        image_size: height of a picture, pixels; its width is four fifths of that.
        shape, expression, reflectance: spread of the coefficients of random faces.
        yaw, pitch, roll: radians, spread of their pose where a single view is drawn.
        seed: of the random faces.
    """

    count: int = 8
    image_size: int = 200
    shape: float = 1.0
    expression: float = 0.5
    reflectance: float = 1.0
    yaw: float = 0.25
    pitch: float = 0.12
    roll: float = 0.10
    seed: int = 0

    def __post_init__(self) -> None:
        spreads = dict.fromkeys(("shape", "expression", "reflectance", "yaw", "pitch", "roll"), (0, 100))
        check_ranges(self, **spreads, count=(1, 10_000), image_size=(1, 2000))
