"""Read videos frame by frame, as players show them, in RGB; only one frame is held at a time.

PyAV reads them: FFmpeg inside a wheel, which says exactly when a frame is shown, how it lies, and how its colors are
meant. It is imported when a video is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mofa3d.data.photo import Photo, check_is_file
from mofa3d.data.shown_frame import Shown
from mofa3d.errors import InputError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

USUAL_RATE = 25.0  # frames per second, of files that do not say theirs
HIGHEST_RATE = 1000.0
LONGEST_GAP = 600.0  # seconds between two frames; more is a damaged time
# Of FFmpeg's formats, those that hold videos by themselves; playlists and scripts would open other files.
FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg"
ADVICE = "give an MP4 file with H.264"


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        width, height: of the frames as they are shown, pixels.
        rate: frames per second; of videos whose rate varies, the average.
        announced: number of frames by the file's header, 0 where it says nothing; files may hold fewer or more.
        duration: seconds by the file's header, 0 where it says nothing.
    """

    width: int
    height: int
    rate: float
    announced: int
    duration: float = 0.0


@dataclass(frozen=True)
class TimedFrame:
    """A frame of a video.

    Attributes:
        photo: what it shows.
        time: seconds from the first frame; more than that of the frame before. Where the file says none that can be,
            it is the usual step later.
        lost: pieces of the file before it that could not be decoded.
    """

    photo: Photo
    time: float
    lost: int = 0


def read_info(path: Path) -> VideoInfo:
    """Open a video and decode its first frame.

    Raises:
        InputError: see `opened`; or no frame can be decoded, or frames have more than `MAX_PIXELS` pixels.
    """
    with opened(path) as (container, stream):
        first = next(_frames(path, container, stream), None)
        if first is None:
            raise InputError(f"{path} has no frame that can be decoded; {ADVICE}")
        height, width, _ = first.photo.shape
        left_out = sum(entry.is_discard for entry in stream.index_entries)  # by the edit list of an MP4 file
        return VideoInfo(width, height, _rate(stream), max(0, stream.frames - left_out), _duration(container, stream))


def read_frames(path: Path) -> Iterator[TimedFrame]:
    """The frames of a video, in order, without those that cannot be decoded, all of the first one's size.

    Raises:
        InputError: as `read_info`.
    """
    with opened(path) as (container, stream):
        yield from _frames(path, container, stream)


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video that is open, with the one of its streams that counts.

    Raises:
        InputError: the file is missing, no file but a pipe or a device, empty, not readable, or has no pictures; see
            also `blaming_video`.
    """
    check_is_file(path, "video")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; replace it or leave it out")
    with blaming_video(path), _container(path) as container:
        yield container, _stream(path, container)


@contextmanager
def blaming_video(path: Path) -> Iterator[None]:
    """Let whatever FFmpeg raises about a video be that video's fault.

    Raises:
        InputError: instead, with the name.
    """
    import av

    try:
        yield
    except PermissionError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    except (av.FFmpegError, MemoryError) as error:
        raise InputError(f"{path} is damaged ({error}); replace it or leave it out") from None


def _container(path: Path) -> InputContainer:
    import av

    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        # FFmpeg would take a name like "a:b.mp4" for a protocol.
        return av.open(str(path.absolute()), "r", options=options, metadata_errors="replace")
    except PermissionError:
        raise
    except av.FFmpegError:
        raise InputError(f"{path} is not a readable video; {ADVICE}") from None


def _stream(path: Path, container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        raise InputError(f"{path} has no pictures, only {_kinds(container)}; {ADVICE}")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise InputError(f"{path} is in a format for which there is no decoder; {ADVICE}")
    # In one thread, what a damaged file gives does not depend on chance, and small videos are read as quickly.
    stream.codec_context.thread_count = 1
    return stream


def _kinds(container: InputContainer) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "a header"


def _rate(stream: VideoStream) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 1 / LONGEST_GAP <= rate <= HIGHEST_RATE else USUAL_RATE


def _duration(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, (container.duration or 0) / 1e6)


def _frames(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[TimedFrame]:
    show = Shown(path, stream.sample_aspect_ratio, one_size=True)
    step = 1 / _rate(stream)
    start: Fraction | None = None
    time = -step
    for frame, lost in decoded(stream, container.demux(stream)):
        stated = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        start = stated if start is None else start
        since = -math.inf if stated is None or start is None else float(stated - start)
        time = since if time < since <= time + LONGEST_GAP else time + step
        yield TimedFrame(show(frame), time, lost)


def decoded(stream: VideoStream, packets: Iterator[av.Packet]) -> Iterator[tuple[av.VideoFrame, int]]:
    """The frames of a stream's packets, to their end or to where they cannot be read.

    With each comes the number of packets before it that could not be decoded.
    """
    import av

    lost = 0
    packet: av.Packet | None
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet, lost = None, lost + 1
        try:
            frames = stream.decode(packet)  # what the decoder still holds, for None
        except av.FFmpegError:
            frames, lost = [], lost + 1
        for frame in frames:
            yield frame, lost
        if packet is None:
            return
