"""Write pictures as a video: H.264, which every browser plays.

PyAV's wheels hold x264; where one was built without it, MPEG-4 Part 2 is written, which browsers do not play.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from jaxtyping import UInt8

from mofa3d.data.shown_frame import exactly
from mofa3d.errors import InputError

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

Frame = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class Encoder:
    """How a codec is asked for.

    Attributes:
        name: in FFmpeg.
        ticks: per second, in which times are counted: usual rates fit in, and the codec takes no more.
        options: that weigh size against time.
    """

    name: str
    ticks: int
    options: dict[str, str]


ENCODERS = {
    # Veryfast takes a third of the default's time for files that are a little larger.
    "h264": Encoder("libx264", 120_000, {"preset": "veryfast", "crf": "20"}),
    "mpeg4": Encoder("mpeg4", 60_000, {"q": "3"}),
}
SLOWEST = Fraction(1, 1001)  # frames per second that are stated; their times are what counts
BT709, LIMITED = 1, 1  # of ITU-T H.273 and of FFmpeg


def codec() -> str:
    """How videos are encoded: ``h264``, or ``mpeg4`` where PyAV was built without x264."""
    from av import codecs_available

    return "h264" if ENCODERS["h264"].name in codecs_available else "mpeg4"


def write_video(path: Path, frames: UInt8[np.ndarray, "T H W 3"], rate: float) -> None:
    """Write frames that are there already as an MP4.

    Args:
        path, rate: see `film_writer`.
        frames: RGB, with even height and width.

    Raises:
        InputError: there is no frame, and as `film_writer`.
    """
    if len(frames) == 0:
        raise InputError(f"cannot write {path}: there is no frame")
    with film_writer(path, frames.shape[2], frames.shape[1], rate) as write:
        for frame in frames:
            write(frame)


class WriteFrame(Protocol):
    """Adds a frame that is shown at some time, in seconds from the start; by default, at the film's rate."""

    def __call__(self, frame: Frame, time: float | None = None) -> None: ...


@contextmanager
def film_writer(path: Path, width: int, height: int, rate: float) -> Iterator[WriteFrame]:
    """A function that adds a frame to a new MP4, which is whole when the context ends.

    Args:
        path: ends in ``.mp4``; missing folders are made.
        width, height: of the frames, even numbers of pixels.
        rate: frames per second, on average.

    Raises:
        InputError: another suffix, an odd size, a rate that is not positive, or the file cannot be written.
    """
    if path.suffix.lower() != ".mp4":
        raise InputError(f"cannot write {path}: the suffix must be .mp4")
    if width < 1 or height < 1 or height % 2 or width % 2 or not rate > 0:
        raise InputError(
            f"cannot write {path}: expected frames of even height and width at a positive rate, got {width}×{height} "
            f"pixels at {rate} per second"
        )
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # FFmpeg would take a name like "a:b.mp4" for a protocol. The index comes first, for players on the web.
        with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as film:
            stream = _stream(film, width, height, rate)
            yield partial(_write, film, stream, count(), rate)
            film.mux(stream.encode(None))
    except av.FFmpegError:
        raise InputError(
            f"cannot write {path}; check that its folder can be written to, and that there is space"
        ) from None


def _stream(film: OutputContainer, width: int, height: int, rate: float) -> VideoStream:
    encoder, nearest = ENCODERS[codec()], Fraction(rate).limit_denominator(1001)
    stream = cast("VideoStream", film.add_stream(encoder.name, max(SLOWEST, nearest), options=encoder.options))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, encoder.ticks)
    context.colorspace, context.color_primaries, context.color_trc = BT709, BT709, BT709
    context.color_range = LIMITED
    return stream


def _write(
    film: OutputContainer,
    stream: VideoStream,
    numbers: Iterator[int],
    rate: float,
    frame: Frame,
    time: float | None = None,
) -> None:
    from av import VideoFrame

    number = next(numbers)
    ticks = 1 / stream.codec_context.time_base
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
        format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED, interpolation=exactly("AREA")
    )
    picture.pts = round((number / rate if time is None else time) * ticks)
    picture.time_base = stream.codec_context.time_base
    film.mux(stream.encode(picture))
