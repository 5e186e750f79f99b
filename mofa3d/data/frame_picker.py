"""Single frames of a video by their numbers, without decoding all that come before.

Every thirtieth frame of a video takes 0.4 to 0.7 times as long as with OpenCV, which decodes all, and each process
decodes its own part only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mofa3d.data.photo import Photo
from mofa3d.data.shown_frame import Shown
from mofa3d.data.video import ADVICE, blaming_video, decoded, opened
from mofa3d.errors import InputError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

VP8_SHOWN = 0x10  # of the first byte of a frame, RFC 6386, Sec. 9.1


@dataclass(frozen=True)
class FrameIndex:
    """Where the frames of a video are; times are in the unit of its stream.

    Attributes:
        count: number of frames.
        shown: when each is shown, increasing; () where the file does not say it of every one.
        keys: when those are shown with which decoding can begin, increasing.
        stored: the time by which a file finds each of these.
    """

    count: int
    shown: tuple[int, ...]
    keys: tuple[int, ...]
    stored: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> FrameIndex:
        """Read a file to its end, or to where it is cut off, without decoding it.

        Raises:
            InputError: see `mofa3d.data.video.opened`.
        """
        with opened(path) as (container, stream):
            is_vp8 = stream.codec_context.name in ("vp8", "libvpx")
            packets = [
                (packet.pts, packet.dts, packet.is_keyframe)
                for packet in _packets(container, stream)
                if packet.size and not packet.is_discard and not (is_vp8 and not memoryview(packet)[0] & VP8_SHOWN)
            ]
        keys = sorted((pts, pts if dts is None else dts) for pts, dts, is_key in packets if is_key and pts is not None)
        times = sorted({pts for pts, _, _ in packets if pts is not None})
        if len(times) < len(packets) or not keys:
            return cls(len(packets), (), (), ())
        at, stored = zip(*keys, strict=True)
        shown = tuple(time for time in times if time >= at[0])  # what comes before cannot be decoded
        return cls(len(shown), shown, at, stored)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    import av

    try:
        yield from container.demux(stream)
    except av.FFmpegError:  # what comes before is used
        return


def count_frames(path: Path) -> int:
    """How many frames a video has; some of them may turn out to be damaged.

    Raises:
        InputError: see `mofa3d.data.video.opened`; or there is none.
    """
    count = FrameIndex.of(path).count
    if not count:
        raise InputError(f"{path} has no frame that can be decoded; {ADVICE}")
    return count


class FramePicker:
    """An open video that gives single frames; rising numbers are quick.

    A frame is decoded from the last one before it with which decoding can begin, so that it does not depend on those
    that were asked for before. Where that fails, the whole video is decoded.

    Args:
        path: of the video.

    Raises:
        InputError: see `mofa3d.data.video.opened`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index = FrameIndex.of(path)
        self._files = ExitStack()
        self._frames: Iterator[tuple[av.VideoFrame, int]] = iter(())
        self._can_seek = bool(self._index.keys)
        self._begun: int | None = None  # number of the key that `_frames` begin with, -1 for the whole file
        self._wanted = self._passed = 0  # time of the last frame, or its number where there are no times

    def __call__(self, number: int) -> Photo:
        """A frame by its number from 0.

        Raises:
            InputError: it cannot be decoded, is not there, or has more than `MAX_PIXELS` pixels.
        """
        with blaming_video(self.path):
            frame = self._find(number) if number < self._index.count else None
            if frame is not None:
                return self._show(frame)
        raise InputError(f"frame {number} of {self.path} cannot be decoded; the video is shorter or damaged")

    def close(self) -> None:
        """Close the file."""
        self._begun = None
        self._files.close()

    def _find(self, number: int) -> av.VideoFrame | None:
        times = self._index.shown
        wanted = times[number] if times else number
        key = bisect_right(self._index.keys, wanted) - 1 if self._can_seek else -1
        frame = self._find_from(key, wanted)
        if frame is None and key > 0 and self._can_seek:
            # Damage, or pictures that are renewed bit by bit, of which no decoder makes one that is whole at once.
            self._can_seek = False
            frame = self._find_from(-1, wanted)
        return frame

    def _find_from(self, key: int, wanted: int) -> av.VideoFrame | None:
        self._wanted = wanted
        if key != self._begun or wanted <= self._passed:
            self._begin(key)
        times = self._index.shown
        for frame, _ in self._frames:
            if not times:
                self._passed += 1
            elif frame.pts is not None:
                self._passed = frame.pts
            if self._passed >= wanted:
                return frame if self._passed == wanted else None
        return None

    def _begin(self, key: int) -> None:
        """Let `_frames` begin with a key, or with the first of all if that cannot be found again."""
        if self._begun is None and key >= 0:
            self._open()
        packets = self._seek(key) if key >= 0 else None
        if packets is None:
            self._can_seek, key = False, -1
            self._open()
            packets = self._container.demux(self._stream)
        self._begun = key
        self._passed = self._index.shown[0] - 1 if self._index.shown else -1
        self._frames = decoded(self._stream, self._quickly(packets) if self._index.shown else packets)

    def _quickly(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """Let the decoder leave out what is shown before the wanted frame and needed for no other."""
        for packet in packets:
            is_before = packet.pts is not None and packet.pts < self._wanted
            self._stream.codec_context.skip_frame = "NONREF" if is_before else "DEFAULT"
            yield packet

    def _open(self) -> None:
        self._files.close()
        self._container, self._stream = self._files.enter_context(opened(self.path))
        self._show = Shown(self.path, self._stream.sample_aspect_ratio, one_size=False)

    def _seek(self, key: int) -> Iterator[av.Packet] | None:
        import av

        try:
            self._container.seek(self._index.stored[key], stream=self._stream)
            packets = self._container.demux(self._stream)
            for packet in packets:
                if packet.is_keyframe and packet.pts == self._index.keys[key]:
                    return chain([packet], packets)
        except av.FFmpegError:  # some formats cannot be searched
            pass
        return None
