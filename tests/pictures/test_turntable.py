"""A face turns from side to side, and the film can be played."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from tiny_model import make_code

from mofa3d.export import video, write_video
from mofa3d.pictures.turntable import sheet, turntable
from mofa3d.renderers import make_renderer


@pytest.fixture
def film(tiny_model) -> np.ndarray:
    code = make_code(1, dtype=torch.float32)
    return turntable(tiny_model, code, make_renderer("cpu"), size=64, frames=12, sweep=60.0)


def covered(pictures: np.ndarray) -> np.ndarray:
    return (pictures < 250).any(axis=-1)


class TestTurntable:
    def test_goes_there_and_back(self, film):
        assert (film.shape, film.dtype) == ((12, 64, 128, 3), np.uint8)
        for there, back in ((1, 11), (3, 9), (5, 7)):
            assert np.array_equal(film[there], film[back])
        assert not np.array_equal(film[0], film[6])

    def test_shows_the_whole_face_in_the_middle(self, film):
        for half in (film[:, :, :64], film[:, :, 64:]):
            mask = covered(half)
            assert not mask[:, [0, -1]].any()
            assert not mask[:, :, [0, -1]].any()
            rows = np.flatnonzero(mask.any(axis=(0, 2)))
            assert abs(rows.mean() - 31.5) < 2
            assert len(rows) > 30

    def test_turns_both_ways(self, film):
        front = covered(film[3, :, :64])
        assert covered(film[0, :, :64]).sum() < 0.95 * front.sum()
        # The face is nearly symmetric: one end of the turn is about the mirror image of the other.
        left, right = covered(film[0, :, :64]), covered(film[6, :, :64])
        assert (left[:, ::-1] == right).mean() > 0.95
        assert (left == right).mean() < (left[:, ::-1] == right).mean()

    def test_pose_of_the_code_does_not_matter(self, film, tiny_model):
        code = make_code(1, dtype=torch.float32)
        moved = code.replace(rotation=code.rotation + 1, translation=code.translation - 40)
        again = turntable(tiny_model, moved, make_renderer("cpu"), size=64, frames=12, sweep=60.0)
        assert np.array_equal(film, again)

    @pytest.mark.parametrize("frames", [2, 5])
    def test_frames(self, tiny_model, frames):
        with pytest.raises(ValueError, match=f"an even number of frames and at least 4, got {frames}"):
            turntable(tiny_model, make_code(1, dtype=torch.float32), make_renderer("cpu"), frames=frames)


def test_sheet_has_both_ends_and_the_front():
    film = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((12, 4, 6, 3), dtype=np.uint8)
    picture = sheet(film, 3)
    assert picture.shape == (4, 18, 3)
    assert picture[0, ::6, 0].tolist() == [0, 3, 6]


@pytest.fixture(params=["h264", "mpeg4"])
def codec(request, monkeypatch) -> str:
    monkeypatch.setattr(video, "codec", lambda: request.param)
    return request.param


class TestVideo:
    def test_comes_back(self, tmp_path, codec):
        frames = np.zeros((6, 48, 64, 3), dtype=np.uint8)
        for number in range(6):
            frames[number, :, : 10 * number] = (200, 60, 20)
        write_video(tmp_path / "new" / "film.mp4", frames, 12.0)
        reader = cv2.VideoCapture(str(tmp_path / "new" / "film.mp4"))
        assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
        fourcc = int(reader.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
        assert fourcc in {"h264": ("h264", "avc1"), "mpeg4": ("FMP4", "mp4v")}[codec]
        again = []
        while (read := reader.read())[0]:
            again.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
        assert np.shape(again) == frames.shape
        assert np.abs(np.array(again).astype(int) - frames).mean() < 6

    def test_what_cannot_be_written(self, tmp_path, codec):
        frames = np.zeros((2, 48, 64, 3), dtype=np.uint8)
        with pytest.raises(ValueError, match=r"film.avi: the suffix must be \.mp4"):
            write_video(tmp_path / "film.avi", frames, 12.0)
        with pytest.raises(ValueError, match="there is no frame"):
            write_video(tmp_path / "film.mp4", frames[:0], 12.0)
        for wrong, rate in ((frames[:, :47], 12.0), (frames[:, :, 1:], 12.0), (frames, 0.0)):
            with pytest.raises(ValueError, match="expected frames of even height and width at a positive rate, got"):
                write_video(tmp_path / "film.mp4", wrong, rate)
        (tmp_path / "folder.mp4").mkdir()
        with pytest.raises(ValueError, match=r"cannot write .*; check that its folder"):
            write_video(tmp_path / "folder.mp4", frames, 12.0)
