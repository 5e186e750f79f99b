"""Single frames are the same as those of the whole video, whichever were asked for before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from any_videos import write_any

from mofa3d.data import frame_picker
from mofa3d.data.frame_picker import FrameIndex, FramePicker
from mofa3d.data.video import read_frames

COUNT = 30
X264 = {"g": "8", "bf": "3", "sc_threshold": "0"}


def textures(count: int = COUNT) -> list[np.ndarray]:
    """Blocks that move."""
    blocks = np.random.default_rng(0).integers(0, 256, (12, 24, 3), dtype=np.uint8)
    wide = blocks.repeat(8, axis=0).repeat(8, axis=1)
    return [np.roll(wide, 3 * number, axis=1) for number in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("videos")


FILES = {
    "a.mp4": ("libx264", X264),
    "open.mp4": ("libx264", {**X264, "x264-params": "open-gop=1"}),
    "a.mkv": ("libx264", X264),
    "live.mkv": ("libx264", {**X264, "muxer": {"live": "1"}}),
    "a.ts": ("libx264", X264),
    "refresh.ts": ("libx264", {"x264-params": "intra-refresh=1:keyint=8"}),
    "hevc.mp4": ("libx265", {"g": "8", "x265-params": "log-level=none:open-gop=1"}),
    "a.webm": ("libvpx", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "6", "cpu-used": "5"}),
    "a.avi": ("mpeg4", {"g": "8"}),
    "b.avi": ("mpeg4", {"g": "8", "bf": "2"}),
    "a.mpg": ("mpeg1video", {"g": "8", "bf": "2", "rate": 25}),
    "a.wmv": ("wmv2", {"g": "8"}),
    "a.flv": ("libx264", X264),
}


@pytest.mark.parametrize("name", FILES)
def test_a_frame_is_the_same_whatever_was_asked_before(folder, name):
    codec, options = FILES[name]
    path = write_any(folder / name, textures(), codec, **options)
    whole = [frame.photo for frame in read_frames(path)]
    assert len(whole) == FrameIndex.of(path).count == COUNT
    for order in (range(0, COUNT, 3), (29, 3, 17, 18, 2, 2, 9), (15,)):
        picker = FramePicker(path)
        for number in order:
            assert np.array_equal(picker(number), whole[number])
        picker.close()


def test_what_lies_between_is_not_decoded(folder, monkeypatch):
    """A group of eight frames at most, where the file can be searched, and of it no frame that no other needs."""
    path = write_any(folder / "groups.mp4", textures(), "libx264", **X264)
    taken = []

    def counting(stream, packets):
        for frame in decoded(stream, packets):
            taken.append(frame[0].pts)
            yield frame

    decoded = frame_picker.decoded
    monkeypatch.setattr(frame_picker, "decoded", counting)
    assert len(FrameIndex.of(path).keys) == 4
    picker = FramePicker(path)
    for number in (25, 1):
        picker(number)
    assert len(taken) == 2 + 2
    picker(6)
    assert len(taken) < 4 + 5


def test_files_that_cannot_be_searched_are_read_from_their_beginning(folder, monkeypatch):
    path = write_any(folder / "unsearched.mkv", textures(), "libx264", **X264)
    expected = [frame.photo for frame in read_frames(path)]
    monkeypatch.setattr(FramePicker, "_seek", lambda self, key: None)
    picker = FramePicker(path)
    for number in (20, 21, 3):
        assert np.array_equal(picker(number), expected[number])


def test_files_without_times_are_counted(folder, monkeypatch):
    path = write_any(folder / "untimed.avi", textures(10), "mjpeg", pixels="yuvj420p")
    expected = [frame.photo for frame in read_frames(path)]
    monkeypatch.setattr(FrameIndex, "of", lambda path: FrameIndex(10, (), (), ()))
    picker = FramePicker(path)
    for number in (4, 5, 0, 9):
        assert np.array_equal(picker(number), expected[number])


def test_frames_that_are_not_there(folder):
    path = write_any(folder / "short.mp4", textures(4), "libx264")
    picker = FramePicker(path)
    for number in (4, 10**9):
        with pytest.raises(
            ValueError, match=rf"frame {number} of .* cannot be decoded; the video is shorter or damaged"
        ):
            picker(number)
    assert picker(3).shape == (96, 192, 3)
