"""Contact sheets: rows of pictures, each below a line of text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

CAPTION_HEIGHT = 26  # pixels
TEXT_SIZE = 15
MARGIN = 6
WHITE, INK = 255, 40


@dataclass(frozen=True)
class Row:
    """Pictures of one height side by side, and what they show."""

    caption: str
    pictures: UInt8[np.ndarray, "K H W 3"]

    @property
    def width(self) -> int:
        return self.pictures.shape[0] * self.pictures.shape[2]


def draw_sheet(rows: list[Row]) -> UInt8[np.ndarray, "H W 3"]:
    """Put rows below each other on white, each with its caption above; narrower rows are filled up on the right."""
    width = max(row.width for row in rows)
    bands = []
    for row in rows:
        band = np.full((row.pictures.shape[1], width, 3), WHITE, dtype=np.uint8)
        band[:, : row.width] = np.concatenate(list(row.pictures), axis=1)
        bands += [_caption(row.caption, width), band]
    return np.concatenate(bands)


def _caption(text: str, width: int) -> UInt8[np.ndarray, "H W 3"]:
    image = Image.new("RGB", (width, CAPTION_HEIGHT), (WHITE,) * 3)
    place = (MARGIN, CAPTION_HEIGHT // 2)
    ImageDraw.Draw(image).text(place, text, fill=(INK,) * 3, font=_font(), anchor="lm")
    return np.asarray(image)


def _font() -> ImageFont.FreeTypeFont:
    """Matplotlib's own font: it is there wherever Matplotlib is, and has signs such as σ and ±."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT_SIZE)
