"""Videos in any container and codec that PyAV can write, and MP4 files whose header says something else."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_any(
    path: Path,
    frames: Iterable[np.ndarray],
    codec: str,
    rate: int = 10,
    pixels: str = "yuv420p",
    aspect: Fraction | None = None,
    times: Sequence[int] | None = None,
    container: str | None = None,
    muxer: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Encode frames.

    Args:
        path: where to.
        frames: (H, W, 3) RGB, or frames of PyAV in the format of `pixels`.
        codec: an encoder of FFmpeg.
        rate: frames per second.
        pixels: FFmpeg's name of a pixel format.
        aspect: width of a pixel by its height.
        times: of the frames, in 1 / (100 rate) s; by default regular.
        container: FFmpeg's name of a format; by default by the suffix.
        muxer: its options.
        options: of the encoder.
    """
    with av.open(str(path), "w", format=container, options=muxer or {}) as film:
        stream = None
        for number, frame in enumerate(frames):
            if not isinstance(frame, av.VideoFrame):
                frame = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
            if stream is None:
                stream = film.add_stream(codec, rate, options=options)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 100 * rate)
                stream.codec_context.colorspace, stream.codec_context.color_range = frame.colorspace, frame.color_range
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 100 * rate)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a matrix into the track header of an MP4 file, ISO/IEC 14496-12, Sec. 8.3.2."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version 0
    one = 1 << 16
    struct.pack_into(">9i", content, at, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
