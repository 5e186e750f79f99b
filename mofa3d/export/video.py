"""Write pictures as a video: H.264 with the extra `video`, else MPEG-4 Part 2, which browsers do not play.

OpenCV's wheels bring no encoder of H.264; imageio-ffmpeg brings a whole ffmpeg, which runs beside this program.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from mofa3d.errors import InputError

Frame = UInt8[np.ndarray, "H W 3"]
# Veryfast takes a third of the default's time for files that are a little larger.
H264 = ("-preset", "veryfast", "-crf", "20", "-movflags", "+faststart")


def codec() -> str:
    """How videos are encoded: ``h264`` where imageio-ffmpeg is installed (extra `video`), else ``mpeg4``."""
    return "h264" if importlib.util.find_spec("imageio_ffmpeg") else "mpeg4"


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


@contextmanager
def film_writer(path: Path, width: int, height: int, rate: float) -> Iterator[Callable[[Frame], None]]:
    """A function that adds a frame to a new MP4, which is whole when the context ends.

    Args:
        path: ends in ``.mp4``; missing folders are made.
        width, height: of the frames, even numbers of pixels.
        rate: frames per second.

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
    path.parent.mkdir(parents=True, exist_ok=True)
    open_film = _ffmpeg if codec() == "h264" else _opencv
    with open_film(path, width, height, rate) as write:
        yield write
    if not path.is_file() or path.stat().st_size == 0:
        raise InputError(_refusal(path))


def _refusal(path: Path) -> str:
    return f"cannot write {path}; check that its folder can be written to, and that there is space"


@contextmanager
def _ffmpeg(path: Path, width: int, height: int, rate: float) -> Iterator[Callable[[Frame], None]]:
    import imageio_ffmpeg

    film = imageio_ffmpeg.write_frames(
        # ffmpeg would take a name like "a:b.mp4" for a protocol, and one that begins with "-" for an option.
        str(path.absolute()),
        (width, height),
        fps=rate,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="quiet",
        output_params=list(H264),
    )
    film.send(None)

    def write(frame: Frame) -> None:
        try:
            film.send(np.ascontiguousarray(frame))
        except OSError:
            raise InputError(_refusal(path)) from None

    try:
        yield write
    finally:
        film.close()


@contextmanager
def _opencv(path: Path, width: int, height: int, rate: float) -> Iterator[Callable[[Frame], None]]:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    try:
        if not writer.isOpened():
            raise InputError(_refusal(path))
        yield lambda frame: writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
