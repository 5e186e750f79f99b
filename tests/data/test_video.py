"""Videos are read frame by frame, upright, at their times, whatever holds them; what is no video is said clearly."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from any_videos import set_display_matrix, write_any

from mofa3d.data import shown_frame
from mofa3d.data.frame_picker import FramePicker, count_frames
from mofa3d.data.sources import Reader, find_items
from mofa3d.data.video import read_frames, read_info
from mofa3d.export import write_video

WIDTH, HEIGHT, STEP = 176, 144, 16
RED = (200, 60, 20)


def wedge(number: int) -> np.ndarray:
    """Red from the left to column 16 · number, else black."""
    frame = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    frame[:, : STEP * number] = RED
    return frame


def numbers(path: Path) -> list[float]:
    """What `wedge` was asked for."""
    return [number_in(frame.photo) for frame in read_frames(path)]


def number_in(photo: np.ndarray) -> float:
    return float((photo[HEIGHT // 2, :, 0] > 100).mean() * WIDTH / STEP)


CONTAINERS = {
    "a.mp4": ("libx264", {}),
    "a.m4v": ("libx264", {}),
    "a.mov": ("mpeg4", {}),
    "a.avi": ("mpeg4", {}),
    "b.avi": ("mjpeg", {"pixels": "yuvj420p"}),
    "a.mkv": ("ffv1", {}),
    "a.webm": ("libvpx-vp9", {"muxer": {"live": "1"}, "deadline": "realtime", "cpu-used": "8"}),
    "b.webm": ("libvpx", {"muxer": {"live": "1"}, "auto-alt-ref": "1", "lag-in-frames": "6", "cpu-used": "5"}),
    "b.mkv": ("libx264", {"muxer": {"live": "1"}}),
    "a.ts": ("libx264", {}),
    "a.mts": ("mpeg2video", {"container": "mpegts", "rate": 25}),
    "a.mpg": ("mpeg1video", {"rate": 25}),
    "a.vob": ("mpeg2video", {"rate": 25}),
    "a.3gp": ("h263", {}),
    "a.wmv": ("wmv2", {}),
    "a.flv": ("flv", {}),
    "b.flv": ("libx264", {}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_any_container(tmp_path, name):
    """Every frame comes, in order and at its time; as many are counted; each is also found by its number."""
    codec, options = CONTAINERS[name]
    path = write_any(tmp_path / name, map(wedge, range(10)), codec, **options)
    rate = options.get("rate", 10)
    assert np.abs(np.array(numbers(path)) - np.arange(10)).max() < 0.3
    times = [frame.time for frame in read_frames(path)]
    assert times == pytest.approx([number / rate for number in range(10)], abs=2e-3)
    assert {frame.lost for frame in read_frames(path)} == {0}
    info = read_info(path)
    width = 192 if codec == "h263" else WIDTH  # whose pixels have sides of 12:11
    assert (info.width, info.height, info.rate) == (width, HEIGHT, pytest.approx(rate, rel=0.01))
    assert info.announced in (0, 10)
    assert count_frames(path) == 10
    items = find_items([tmp_path], every=4)
    assert [item.frame for item in items] == [0, 4, 8]
    reader = Reader()
    for item in items[::-1]:
        assert number_in(reader.read(item)) == pytest.approx(item.frame, abs=0.3)
    reader.close()


def test_colors_and_names_of_other_alphabets(tmp_path):
    path = tmp_path / "Виде́о ü" / "映像.mp4"
    write_video(path, np.stack([wedge(number) for number in range(6)]), 12.5)
    info = read_info(path)
    assert (info.width, info.height, info.announced) == (WIDTH, HEIGHT, 6)
    assert info.rate == pytest.approx(12.5)
    last = list(read_frames(path))[-1].photo
    assert np.abs(last[20, 20].astype(int) - RED).max() < 4


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there, without a colon")
@pytest.mark.parametrize("name", [b"bad\xff.mp4", b"2024-05-01T12:30.mp4", b"-i.mp4", b"concat:a.mp4"])
def test_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    write_video(path, np.stack([wedge(number) for number in range(3)]), 10.0)
    assert len(numbers(path)) == count_frames(path) == 3
    items = find_items([str(path)], every=2)
    assert [item.key for item in items] == [f"{path}#000000", f"{path}#000002"]
    assert number_in(Reader().read(items[1])) == pytest.approx(2, abs=0.3)


def corners(photo: np.ndarray) -> str:
    """The colors of the corners, from the upper left one, row by row."""
    height, width, _ = photo.shape
    names = {0: "k", 1: "r", 2: "g", 3: "b"}
    points = [(0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)]
    found = [photo[int(y * height), int(x * width)].astype(int) for y, x in points]
    return "".join(names[0 if color.max() < 90 else 1 + int(color.argmax())] for color in found)


QUARTERS = np.zeros((32, 64, 3), dtype=np.uint8)
QUARTERS[:16, :32, 0] = QUARTERS[:16, 32:, 1] = QUARTERS[16:, :32, 2] = 220  # rg / bk


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), "rgbk"),
        ((-1, 0, 0, 1), "grkb"),
        ((-1, 0, 0, -1), "kbgr"),
        ((1, 0, 0, -1), "bkrg"),
        ((0, 1, 1, 0), "rbgk"),
        ((0, 1, -1, 0), "brkg"),  # a quarter turn clockwise: x' = -y
        ((0, -1, -1, 0), "kgbr"),
        ((0, -1, 1, 0), "gkrb"),
    ],
)
def test_all_orientations(tmp_path, matrix, shown):
    path = write_any(tmp_path / "a.mp4", [QUARTERS] * 5, "libx264", aspect=Fraction(2))
    set_display_matrix(path, *matrix)
    size = (128, 32) if matrix[0] else (32, 128)  # pixels are twice as wide as high before the turn
    assert (read_info(path).width, read_info(path).height) == size
    frames = [frame.photo for frame in read_frames(path)] + [FramePicker(path)(4)]
    assert [corners(frame) for frame in frames] == [shown] * 6
    assert {frame.shape for frame in frames} == {(size[1], size[0], 3)}


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (128, 32)), (Fraction(1, 2), (64, 64)), (Fraction(64, 45), (91, 32))]
)
def test_pixels_that_are_not_square(tmp_path, aspect, size):
    for name, codec in (("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")):
        path = write_any(tmp_path / name, [QUARTERS] * 2, codec, aspect=aspect)
        assert (read_info(path).width, read_info(path).height) == size
        assert corners(next(read_frames(path)).photo) == "rgbk"


def test_pixels_that_cannot_be_so_long_are_square(tmp_path):
    path = write_any(tmp_path / "a.mp4", [QUARTERS] * 2, "libx264", aspect=Fraction(1, 1000))
    assert (read_info(path).width, read_info(path).height) == (64, 32)


def test_rate_that_varies(tmp_path):
    times = [0, 100, 150, 700, 750, 2000]  # in thousandths of a second
    for name, codec in (("a.mp4", "libx264"), ("a.mkv", "ffv1"), ("b.mp4", "mpeg4")):
        path = write_any(tmp_path / name, map(wedge, range(6)), codec, times=times)
        assert [frame.time for frame in read_frames(path)] == pytest.approx([time / 1000 for time in times], abs=1e-3)
        assert number_in(FramePicker(path)(4)) == pytest.approx(4, abs=0.3)


def test_times_that_cannot_be_are_a_step_later(tmp_path):
    path = write_any(tmp_path / "a.mkv", map(wedge, range(5)), "ffv1", times=[0, 100, 900_000, 900_100, 5_000_000])
    assert [frame.time for frame in read_frames(path)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_no_video(tmp_path):
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("no video")
    playlist = tmp_path / "list.mp4"  # would read other files
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    cases = {
        empty: "is empty; replace it",
        text: "is not a readable video; give an MP4 file with H.264",
        playlist: "is not a readable video; give an MP4 file with H.264",
        sound(tmp_path / "sound.mp4"): "has no pictures, only audio; give an MP4 file with H.264",
        tmp_path: "is a folder; give a video",
        tmp_path / "none.mp4": "there is no video at .*none.mp4; check the path",
    }
    for path, message in cases.items():
        for read in (read_info, count_frames, FramePicker, lambda path: list(read_frames(path))):
            with pytest.raises(ValueError, match=message):
                read(path)


def sound(path: Path, frames: int = 0) -> Path:
    """Silence, with pictures or without."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("aac", 8000)
        video = film.add_stream("libx264", 10) if frames else None
        if video is not None:
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            film.mux(video.encode(av.VideoFrame.from_ndarray(wedge(number), format="rgb24")))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        for number in range(20):
            silence.pts = 1024 * number
            film.mux(stream.encode(silence))
        for each in (stream, video):
            if each is not None:
                film.mux(each.encode(None))
    return path


def test_sound_is_not_read(tmp_path):
    path = sound(tmp_path / "a.mp4", 5)
    assert len(numbers(path)) == count_frames(path) == 5


def test_video_without_frames(tmp_path):
    path = write_any(tmp_path / "a.mkv", map(wedge, range(2)), "ffv1")
    content = path.read_bytes()
    start = content.index(b"\x1f\x43\xb6\x75")  # of the first cluster
    path.write_bytes(content[:start] + bytes(200))
    for read in (read_info, count_frames):
        with pytest.raises(ValueError, match=r"has no frame that can be decoded|is not a readable video"):
            read(path)
    path.write_bytes(content[: start + 60] + bytes(len(content) - start - 60))
    with pytest.raises(ValueError, match="has no frame that can be decoded; give an MP4 file"):
        read_info(path)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.mpg"])
def test_video_that_is_cut_off(tmp_path, name):
    """The frames before the end are there, as many are counted, and each is found."""
    codec = {"a.mkv": "ffv1", "a.ts": "libx264", "a.avi": "mjpeg", "a.mpg": "mpeg1video"}[name]
    generator = np.random.default_rng(0)
    noise = [generator.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(20)]
    options = {"pixels": "yuvj420p"} if codec == "mjpeg" else {}
    path = write_any(tmp_path / name, noise, codec, rate=25, **options)
    assert len(list(read_frames(path))) == 20
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = list(read_frames(path))
    assert 4 < len(frames) < 15
    assert abs(count_frames(path) - len(frames)) <= 1
    assert (read_info(path).width, read_info(path).height) == (64, 48)
    assert np.array_equal(FramePicker(path)(3), frames[3].photo)


def test_damage_in_the_middle_costs_the_frames_there(tmp_path):
    path = write_any(tmp_path / "a.mkv", map(wedge, range(10)), "ffv1", g="1", slicecrc="1")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    found = numbers(path)
    assert len(found) >= 8
    assert found[0] == pytest.approx(0, abs=0.3)
    assert found[-1] == pytest.approx(9, abs=0.3)


def test_frames_that_are_too_large(tmp_path, monkeypatch):
    path = write_any(tmp_path / "a.mkv", map(wedge, range(2)), "ffv1")
    monkeypatch.setattr(shown_frame, "MAX_PIXELS", 3000)
    for read in (read_info, lambda path: FramePicker(path)(1)):
        with pytest.raises(ValueError, match="has frames of more than 3000 pixels; make it smaller"):
            read(path)
