"""Decoded frames come out in the colors that they state, whatever their matrix, range, depth and layout."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from any_videos import write_any

from mofa3d.data.shown_frame import Shown, Turn
from mofa3d.data.video import read_frames

WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
COLORS = np.array([[224, 172, 150], [90, 60, 50], [40, 90, 160], [128, 128, 128], [20, 200, 60]])
LIMITED, FULL = 1, 2


def ycbcr(color: np.ndarray, matrix: int, is_full: bool, bits: int) -> list[int]:
    """ITU-T H.273, Sec. 8.3."""
    red, green, blue = color / 255
    kr, kb = WEIGHTS[matrix]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    if is_full:
        return [round(top * y), round(top * cb + 128 * unit), round(top * cr + 128 * unit)]
    return [round((219 * y + 16) * unit), *(round((224 * value + 128) * unit) for value in (cb, cr))]


def painted(color: np.ndarray, pixels: str, matrix: int, color_range: int, size=(64, 48), stated=True) -> av.VideoFrame:
    """A frame of one color in a planar format."""
    frame = av.VideoFrame(*size, pixels)
    deep = "10" in pixels
    values = ycbcr(color, matrix, color_range == FULL, 10 if deep else 8)
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size // (2 if deep else 1), value, np.uint16 if deep else np.uint8).tobytes())
    if stated:
        frame.colorspace = matrix
    frame.color_range = color_range
    return frame


def error(frame: av.VideoFrame, color: np.ndarray) -> int:
    photo = Shown(Path("a"), None, one_size=True)(frame)
    return int(np.abs(photo.astype(int) - color).max())


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_colors(pixels, matrix, color_range):
    """Within what 8 bits of luma and chroma leave, and PyAV 17, the last for Python 3.10, a little more."""
    worst = max(error(painted(color, pixels, matrix, color_range), color) for color in COLORS)
    assert worst <= (2 if av.__version__ >= "18" else 3)


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), 5), ((1024, 576), 5), ((1280, 720), 1), ((640, 720), 1)])
def test_matrix_that_is_not_stated_is_that_of_the_size(size, matrix):
    color = COLORS[4]
    assert error(painted(color, "yuv420p", matrix, LIMITED, size, stated=False), color) <= 2
    assert error(painted(color, "yuv420p", 6 - matrix, LIMITED, size, stated=False), color) > 4


def test_grey_and_rgb_stay_as_they_are():
    for value in (0, 77, 255):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64), value, np.uint8), format="gray")
        frame.color_range = FULL
        assert error(frame, np.full(3, value)) == 0
    for color in COLORS:
        for pixels in ("rgb24", "bgr24"):
            order = color if pixels == "rgb24" else color[::-1]
            image = np.broadcast_to(order.astype(np.uint8), (720, 1280, 3))
            assert error(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=pixels), color) == 0


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [
        ("libx264", "yuv420p10le"), ("libx264", "yuv444p"), ("ffv1", "yuv411p"), ("ffv1", "yuva420p"),
        ("ffv1", "rgb48le"), ("ffv1", "gray16le"), ("prores_ks", "yuv422p10le"), ("qtrle", "rgb24"),
        ("libx265", "yuv420p"),
    ],
)  # fmt: skip
def test_pixel_formats_of_files(tmp_path, codec, pixels):
    frame = np.broadcast_to(np.array([150, 150, 150], np.uint8), (64, 96, 3)).copy()
    frame[:, :48] = 60 if pixels.startswith("gray") else (180, 70, 60)
    # With B-frames, x265's decoding times of so short a stream are at times out of order, and no container takes them.
    options = {"x265-params": "log-level=none:bframes=0"} if codec == "libx265" else {}
    name = "a.mov" if codec == "qtrle" else "a.mkv"
    path = write_any(tmp_path / name, [frame] * 2, codec, pixels=pixels, **options)
    photo = next(read_frames(path)).photo.astype(int)
    assert photo.shape == (64, 96, 3)
    assert np.abs(photo[10, [10, 80]] - frame[10, [10, 80]]).max() <= 4


def test_frames_of_other_sizes_are_scaled_to_the_first():
    shown = Shown(Path("a"), Fraction(2), one_size=True)
    frames = [painted(COLORS[0], "yuv420p", 1, LIMITED, size) for size in ((64, 48), (32, 24))]
    assert [shown(frame).shape for frame in frames] == [(48, 128, 3)] * 2
    apart = Shown(Path("a"), Fraction(2), one_size=False)
    assert [apart(frame).shape for frame in frames] == [(48, 128, 3), (24, 64, 3)]


def test_turns_go_to_the_nearest_quarter():
    angle = np.deg2rad(80)
    one = 1 << 16
    a, b = round(one * np.cos(angle)), round(one * np.sin(angle))
    assert Turn.of(struct.pack("=9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30)) == Turn(True, True, False)
    assert Turn.of(struct.pack("=9i", *[0] * 9)) == Turn.of(None) == Turn.of(b"short") == Turn()
