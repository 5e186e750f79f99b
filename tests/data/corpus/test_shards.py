"""Shards are the same bytes for the same faces, and give back what was put in."""

from __future__ import annotations

import json
import tarfile

import cv2
import numpy as np
import pytest

from mofa3d.data.corpus.shards import (
    Face,
    decode_crop,
    encode_crop,
    read_about,
    read_shard,
    write_shard,
)
from mofa3d.data.photo import read_photo
from mofa3d.errors import InputError

FACES = [
    Face("faces/ü 1.jpg", "Ann", 1.5, -2.25, 0.75, [[1.0, 2.5]] * 68, [0.5] * 68, True, -12.5, 2**64 - 1),
    Face("faces/2.jpg", "faces/2.jpg"),
    Face("synthetic#0", "synthetic#0", code=[0.25] * 257),
    Face("faces/3.jpg", "Bea", roll=-12.5, dense=[[1.5, 2.0, -3.5]] * 478, expression=[0.125] * 52),
]


@pytest.fixture(scope="module")
def crop(portrait) -> np.ndarray:
    return cv2.resize(read_photo(portrait)[120:360, 145:385], (240, 240))


def test_faces_come_back_with_their_crops(tmp_path, crop):
    crops = [encode_crop(np.roll(crop, 30 * i, axis=1)) for i in range(len(FACES))]
    assert write_shard(tmp_path / "a.tar", zip(FACES, crops, strict=True)) == len(FACES)
    data = (tmp_path / "a.tar").read_bytes()
    found = list(read_shard(tmp_path / "a.tar"))
    assert [face for face, _, _ in found] == FACES
    assert [data[offset : offset + size] for _, offset, size in found] == crops
    with tarfile.open(tmp_path / "a.tar") as archive:  # as any WebDataset reader sees it
        assert archive.getnames() == [f"{i:09d}.{kind}" for i in range(len(FACES)) for kind in ("jpg", "json")]
        assert json.load(archive.extractfile("000000001.json")).keys() >= {"key", "identity", "scale"}
        assert "landmarks" not in json.load(archive.extractfile("000000001.json"))


def test_what_is_said_about_a_face_is_found_by_its_crop(tmp_path, crop):
    jpeg = encode_crop(crop)
    write_shard(tmp_path / "a.tar", [(face, jpeg + b"." * i) for i, face in enumerate(FACES)])
    content = (tmp_path / "a.tar").read_bytes()

    def read(offset: int, size: int) -> bytes:
        return content[offset : offset + size]

    places = [(offset, size) for _, offset, size in read_shard(tmp_path / "a.tar")]
    assert [read_about(read, *place) for place in places] == FACES
    with pytest.raises(InputError, match=r"damaged .*prepare the corpus again"):
        read_about(read, places[0][0] + 512, places[0][1])


def test_bytes_do_not_depend_on_time_and_user(tmp_path, crop, monkeypatch):
    def write(name: str) -> bytes:
        write_shard(tmp_path / name, [(FACES[0], encode_crop(crop))])
        return (tmp_path / name).read_bytes()

    first = write("a.tar")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("os.getuid", lambda: 77, raising=False)
    assert write("b.tar") == first


def test_failing_faces_leave_no_shard(tmp_path, crop):
    def faces():
        yield FACES[0], encode_crop(crop)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.tar", faces())
    assert not (tmp_path / "a.tar").exists()


def test_jpeg_keeps_fine_color(crop):
    assert np.abs(decode_crop(encode_crop(crop)).astype(int) - crop).mean() < 2
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 200  # red and blue, a pixel wide
    assert np.abs(decode_crop(encode_crop(stripes)).astype(int) - stripes).mean() < 8


def test_damaged_crops_and_shards(tmp_path, crop):
    with pytest.raises(ValueError, match="a crop in a shard is damaged"):
        decode_crop(b"no image")
    with pytest.raises(ValueError, match=r"nowhere\.tar is not a readable shard"):
        list(read_shard(tmp_path / "nowhere.tar"))
    write_shard(tmp_path / "a.tar", [(face, encode_crop(crop)) for face in FACES])
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"a\.tar is not a readable shard .*delete it and prepare the corpus again"):
        list(read_shard(tmp_path / "a.tar"))
