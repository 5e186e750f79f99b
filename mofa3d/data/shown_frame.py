"""A decoded frame as a player shows it: the right way up, with square pixels, in RGB."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from jaxtyping import UInt8

from mofa3d.data.photo import MAX_PIXELS, Photo
from mofa3d.errors import InputError

if TYPE_CHECKING:
    from av import VideoFrame

# Numbers of color matrices in ITU-T H.273. `KNOWN` are those that swscale converts from: also FCC, the other edition of
# BT.601, SMPTE 240M and BT.2020.
BT709, UNSPECIFIED, BT601 = 1, 2, 5
KNOWN = (BT709, 4, BT601, 6, 7, 9)
STANDARD_DEFINITION = (1279, 576)  # largest width and height
LONGEST = 10  # a pixel whose sides are said to differ by more is a mistake


@dataclass(frozen=True)
class Turn:
    """What is done to the pixels of a frame: they are transposed first, then mirrored.

    Attributes:
        transposed: rows become columns.
        mirrored: left and right change places.
        upended: top and bottom change places.
    """

    transposed: bool = False
    mirrored: bool = False
    upended: bool = False

    @classmethod
    def of(cls, matrix: bytes | None) -> Turn:
        """The multiple of 90°, with or without a mirror, that is closest to a display matrix.

        Args:
            matrix: nine 32-bit integers a b u c d v x y w, as FFmpeg gives them: the pixel (p, q), counted to the right
                and down, is shown at (a p + c q + x, b p + d q + y). ``None`` says nothing.
        """
        if matrix is None or len(matrix) < 36:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, np.int32, 5).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transposed=True, mirrored=c < 0, upended=b < 0)
        return cls(mirrored=a < 0, upended=d < 0)

    def __call__(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> Photo:
        """Turn pixels."""
        if self.transposed:
            pixels = cv2.transpose(pixels)
        if self.mirrored and self.upended:
            return cv2.flip(pixels, -1)
        if self.mirrored or self.upended:
            return cv2.flip(pixels, 1 if self.mirrored else 0)
        return pixels


class Shown:
    """Turns the decoded frames of a video into photographs.

    Colors are converted by the matrix and the range that a frame states, without a color cast of rounding. Where no
    matrix is stated, it is that of BT.601 up to a standard-definition size and that of BT.709 above, as players have
    it. Of what differs in brightness and primaries (HDR), nothing is converted.

    Args:
        path: of the video, for messages.
        aspect: width of a pixel by its height, or ``None``. The shorter side is stretched.
        one_size: whether frames of other sizes are scaled to that of the first.
    """

    def __init__(self, path: Path, aspect: Fraction | None, one_size: bool) -> None:
        from av.video.reformatter import VideoReformatter

        self._path, self._one_size = path, one_size
        self._aspect = aspect if aspect and Fraction(1, LONGEST) <= aspect <= LONGEST else Fraction(1)
        self._size: tuple[int, int] | None = None
        self._reformat = VideoReformatter().reformat
        self._how = exactly("BILINEAR")

    def __call__(self, frame: VideoFrame) -> Photo:
        """A frame as a photograph.

        Raises:
            InputError: it would have more than `MAX_PIXELS` pixels.
            av.FFmpegError: its pixel format cannot be converted.
        """
        if self._size is None or not self._one_size:
            self._size = self._square(frame.width, frame.height)
        width, height = self._size
        # In one thread: further ones cost small frames more than they save.
        rgb = self._reformat(
            frame, width, height, "rgb24", src_colorspace=_matrix(frame), interpolation=self._how, threads=1
        )
        return np.ascontiguousarray(Turn.of(_display_matrix(frame))(rgb.to_ndarray()))

    def _square(self, width: int, height: int) -> tuple[int, int]:
        """The size with square pixels."""
        width, height = round(width * max(self._aspect, Fraction(1))), round(height / min(self._aspect, Fraction(1)))
        if width * height > MAX_PIXELS:
            raise InputError(f"{self._path} has frames of more than {MAX_PIXELS} pixels; make it smaller")
        return width, height


def exactly(interpolation: str) -> int:
    """How swscale is asked to interpolate, and not to save time at the colors' cost: usual videos would become darker.

    Args:
        interpolation: its name in PyAV, whose version 17, the last for Python 3.10, cannot ask for more.
    """
    from av.video.reformatter import Interpolation

    names = (interpolation, "FULL_CHR_H_INT", "ACCURATE_RND")
    return reduce(or_, [Interpolation[name] for name in names if name in Interpolation.__members__])


def _matrix(frame: VideoFrame) -> int | None:
    """The color matrix to convert with; ``None`` for that of the frame."""
    if frame.format.is_rgb or frame.colorspace in KNOWN:
        return None
    small = frame.width <= STANDARD_DEFINITION[0] and frame.height <= STANDARD_DEFINITION[1]
    return BT601 if small else BT709


def _display_matrix(frame: VideoFrame) -> bytes | None:
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except (KeyError, ValueError):  # of PyAV, about data of a kind that it does not know
        return None
    return None if data is None else bytes(data)
