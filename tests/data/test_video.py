"""Videos are read frame by frame, upright, and what is no video is said clearly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from mofa3d.data import video
from mofa3d.data.video import read_frames, read_info
from mofa3d.export import write_video


@pytest.fixture
def film(tmp_path) -> Path:
    """Six frames, red from the left to column 10 · number, in a folder and file of other alphabets."""
    frames = np.zeros((6, 48, 64, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        frame[:, : 10 * number] = (200, 60, 20)
    path = tmp_path / "Виде́о ü" / "映像.mp4"
    write_video(path, frames, 12.5)
    return path


def widths(path: Path) -> list[int]:
    return [int((frame[24, :, 0] > 100).sum()) for frame in read_frames(path)]


def test_frames_come_in_order_and_in_rgb(film):
    info = read_info(film)
    assert (info.width, info.height, info.announced) == (64, 48, 6)
    assert info.rate == pytest.approx(12.5)
    assert np.abs(np.array(widths(film)) - 10 * np.arange(6)).max() <= 1
    last = list(read_frames(film))[-1]
    assert np.abs(last[20, 20].astype(int) - (200, 60, 20)).max() < 20


def test_video_that_lies_on_its_side_is_turned_upright(film, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    turned = tmp_path / "turned.mp4"
    # The option belongs to what is read; positive angles are counter-clockwise.
    command = [ffmpeg, "-v", "error", "-display_rotation", "90", "-i", str(film), "-c", "copy", str(turned)]
    subprocess.run(command, check=True)
    assert (read_info(turned).width, read_info(turned).height) == (48, 64)
    last = list(read_frames(turned))[-1]
    assert last.shape == (64, 48, 3)
    # What was at the left is at the bottom.
    assert last[-10, 24, 0] > 150 > 50 > last[5, 24, 0]


def test_what_is_no_video(tmp_path):
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("no video")
    cases = {
        empty: "is empty; replace it",
        text: "is not a readable video; give an MP4 file with H.264",
        tmp_path: "is a folder; give a video",
        tmp_path / "none.mp4": "there is no video at .*none.mp4; check the path",
    }
    for path, message in cases.items():
        with pytest.raises(ValueError, match=message):
            read_info(path)
        with pytest.raises(ValueError, match=message):
            list(read_frames(path))


def test_video_that_is_cut_off(tmp_path):
    """A Matroska file needs no index to be read, so the frames before the end are there."""
    path = tmp_path / "cut.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10.0, (64, 48))
    generator = np.random.default_rng(0)
    for _ in range(20):
        writer.write(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    assert len(list(read_frames(path))) == 20
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(list(read_frames(path))) < 15
    assert (read_info(path).width, read_info(path).height) == (64, 48)


def test_frames_that_are_too_large(film, monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 3000)
    with pytest.raises(ValueError, match="has frames of more than 3000 pixels; make it smaller"):
        read_info(film)
