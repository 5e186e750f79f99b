"""What cannot be read is known before a long computation, and left out by name."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from hostile_files import KEYS, make_corpus
from PIL import Image

from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.readable import problem_of, readable
from mofa3d.evaluation.estimates import choose


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return Corpus(make_corpus(tmp_path / "corpus"))


def spoil(corpus: Corpus, *indices: int) -> None:
    for index in indices:
        shard, offset, size = corpus._place[index].tolist()
        path = corpus.folder / "shards" / f"{shard:06d}.tar"
        raw = path.read_bytes()
        path.write_bytes(raw[:offset] + bytes(size) + raw[offset + size :])


def test_damaged_crops_are_left_out_by_name(corpus, caplog):
    assert readable(corpus, [0, 2, 4, 2]) == ([0, 2, 4, 2], [])
    spoil(corpus, 2, 4)
    kept, failures = readable(corpus, range(6))
    assert re.match(rf"2 images cannot be read .*: {KEYS[2]} in .*000000.tar: a crop", caplog.messages[0])
    assert kept == [0, 1, 3, 5]
    assert [KEYS[4] in failure.reason for failure in failures] == [False, True]
    assert choose(corpus, range(6), 6) == [0, 1, 3, 5]
    assert caplog.messages[1].startswith("2 images")


def test_nothing_that_can_be_read(corpus):
    spoil(corpus, *range(6))
    with pytest.raises(ValueError, match=r"none of the 6 images can be read \(the first: photos/Name0"):
        readable(corpus, range(6))


def test_a_glance_at_a_photograph(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "more.jpg").write_bytes(whole + bytes(100))
    (tmp_path / "with a film.jpg").write_bytes(whole + bytes(range(100)) * 100)
    for name in ("a.jpg", "a.png", "more.jpg", "with a film.jpg"):
        assert problem_of(tmp_path / name) == ""
    for name, content, problem in (
        ("cut.jpg", whole[:-200], "is damaged (image file is truncated"),
        ("empty.jpg", b"", "is not an image"),
        ("text.jpg", b"no photograph", "is not an image"),
    ):
        (tmp_path / name).write_bytes(content)
        assert problem_of(tmp_path / name).startswith(f"{tmp_path / name} {problem}")
    assert problem_of(tmp_path / "none.jpg") == "there is no such file"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert problem_of(tmp_path / "pipe.jpg") == "there is no such file"
