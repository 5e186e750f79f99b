"""Photographs and videos are read in another process as in this one, whatever becomes of it."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np
import pytest
from crashing_readers import CrashingReader
from PIL import Image

from mofa3d.data.isolated_reader import IsolatedReader
from mofa3d.data.sources import Item, Reader, find_items
from mofa3d.export import write_video


@pytest.fixture(scope="module")
def reader():
    with closing(IsolatedReader(CrashingReader)) as reader:
        yield reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photograph, a text, and videos that can be read, that crash, and that crash at their fourth frame."""
    folder = tmp_path_factory.mktemp("files")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    (folder / "b.jpg").write_text("no image")
    frames = np.stack([np.full((48, 64, 3), 20 * number, dtype=np.uint8) for number in range(8)])
    for name in ("film.mp4", "segfault.mp4", "later.mp4"):
        write_video(folder / name, frames, 10.0)
    return folder


def test_the_same_comes_over(reader, folder):
    items = find_items([folder / "a.png", folder / "film.mp4"], every=3)
    for item in items:
        assert np.array_equal(reader.read(item), Reader().read(item))
    assert len(items) == 4
    assert reader.info(folder / "film.mp4") == Reader().info(folder / "film.mp4")
    both = zip(reader.frames(folder / "film.mp4"), Reader().frames(folder / "film.mp4"), strict=True)
    assert [np.array_equal(here.photo, there.photo) and here.time == there.time for here, there in both] == [True] * 8


def test_what_cannot_be_read_is_told_as_here(reader, folder):
    with pytest.raises(ValueError, match=r"b\.jpg is not an image that can be read"):
        reader.read(Item("b.jpg", folder / "b.jpg", folder))
    with pytest.raises(ValueError, match=r"there is no video at .*nowhere\.mp4"):
        list(reader.frames(folder / "nowhere.mp4"))


@pytest.mark.skipif(os.name == "nt", reason="signals end processes with other statuses there")
def test_videos_that_crash_are_told_and_others_are_read(reader, folder):
    message = r"segfault\.mp4 crashes the program that reads it \(signal SIGSEGV\)"
    with pytest.raises(ValueError, match=message):
        reader.info(folder / "segfault.mp4")
    items = find_items([folder], every=4, count=reader.count_frames)
    assert [item.key.partition("/")[2] for item in items if not item.problem] == [
        "a.png", "b.jpg", "film.mp4#000000", "film.mp4#000004", "later.mp4#000000", "later.mp4#000004",
    ]  # fmt: skip
    [crashing] = [item for item in items if item.problem]
    with pytest.raises(ValueError, match=message):
        reader.read(crashing)


@pytest.mark.skipif(os.name == "nt", reason="signals end processes with other statuses there")
def test_a_video_that_crashes_later_gives_what_comes_before(reader, folder):
    taken = []
    with pytest.raises(ValueError, match=r"later\.mp4 crashes the program that reads it \(signal SIGABRT\)"):
        taken.extend(reader.frames(folder / "later.mp4"))
    assert len(taken) == 3


def test_frames_need_not_be_taken_to_their_end(reader, folder):
    frames = reader.frames(folder / "film.mp4")
    next(frames)
    frames.close()
    assert reader.read(Item("a.png", folder / "a.png", folder)).shape == (30, 40, 3)
