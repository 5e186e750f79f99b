"""Read videos frame by frame, upright as their metadata say, in RGB; only one frame is held at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from mofa3d.data.photo import MAX_PIXELS, Photo, check_is_file
from mofa3d.errors import InputError

USUAL_RATE = 25.0  # frames per second, of files that do not say theirs
HIGHEST_RATE = 1000.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        width, height: of the upright frames, pixels.
        rate: frames per second; of videos whose rate varies, the average.
        announced: number of frames by the file's header, 0 where it says nothing; files may hold fewer or more.
    """

    width: int
    height: int
    rate: float
    announced: int


def read_info(path: Path) -> VideoInfo:
    """Open a video and decode its first frame.

    Raises:
        InputError: see `open_video`; or no frame can be decoded, or frames have more than 100 megapixels.
    """
    with _opened(path) as video:
        rate, announced = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
        frame = next(_decoded(path, video), None)
    if frame is None:
        raise InputError(f"{path} has no frame that can be decoded; give an MP4 file with H.264")
    if not 0 < rate <= HIGHEST_RATE:
        rate = USUAL_RATE
    return VideoInfo(frame.shape[1], frame.shape[0], rate, max(0, int(announced)) if math.isfinite(announced) else 0)


def read_frames(path: Path) -> Iterator[Photo]:
    """The frames of a video, in order, up to its end or to where it is damaged.

    Raises:
        InputError: as `read_info`.
    """
    with _opened(path) as video:
        yield from _decoded(path, video)


def count_frames(path: Path) -> int:
    """How many frames a video says it has, 0 where it says nothing.

    Raises:
        InputError: see `open_video`.
    """
    with _opened(path) as video:
        count = video.get(cv2.CAP_PROP_FRAME_COUNT)
    return max(0, int(count)) if math.isfinite(count) else 0


def open_video(path: Path) -> cv2.VideoCapture:
    """A video for OpenCV to read; frames come upright.

    Raises:
        InputError: the file is missing, no file but a pipe or a device, empty, or no video that OpenCV reads.
    """
    check_is_file(path, "video")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; replace it or leave it out")
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:  # OpenCV crashes
        raise InputError(f"the name of {path} is not valid UTF-8, as names of videos must be; rename it") from None
    with blaming_video(path):
        video = cv2.VideoCapture(str(path))
        if video.isOpened():
            return video
    raise InputError(f"{path} is not a readable video; give an MP4 file with H.264")


@contextmanager
def blaming_video(path: Path) -> Iterator[None]:
    """Let whatever OpenCV raises about a video be that video's fault.

    Raises:
        InputError: instead, with the name.
    """
    try:
        yield
    except (cv2.error, MemoryError, SystemError) as error:
        raise InputError(f"{path} is damaged ({error}); replace it or leave it out") from None


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    video = open_video(path)
    try:
        yield video
    finally:
        video.release()


def _decoded(path: Path, video: cv2.VideoCapture) -> Iterator[Photo]:
    while True:
        with blaming_video(path):
            done, pixels = video.read()
        if not done:
            return
        yield as_photo(pixels, path)


def as_photo(pixels: UInt8[np.ndarray, "H W 3"], path: Path) -> Photo:
    """A frame as OpenCV decodes it, in RGB.

    Args:
        pixels: BGR.
        path: of the video, for the message.

    Raises:
        InputError: it has more than 100 megapixels.
    """
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise InputError(f"{path} has frames of more than {MAX_PIXELS} pixels; make it smaller")
    return np.ascontiguousarray(pixels[..., ::-1])
