"""Damaged and crafted corpora: the file is named, and nothing is unpacked that could be of any size."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hostile_files import KEYS, make_corpus
from landmark_tables import write_landmarks
from odd_files import encoded
from PIL import Image

from mofa3d.data.corpus.blocks import finished_blocks, read_records
from mofa3d.data.corpus.dataset import Corpus, Decisions, finish
from mofa3d.data.corpus.shards import decode_crop, read_shard
from mofa3d.data.landmark_table import read_landmarks
from mofa3d.data.sources import find_items


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_corpus(tmp_path / "corpus")


def rewrite(path: Path, **changes: object) -> None:
    """Change values of a JSON file; ``None`` removes one."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def change_index(folder: Path, **changes: np.ndarray | None) -> None:
    with np.load(folder / "index.npz") as archive:
        arrays = {**archive, **changes}
    np.savez(folder / "index.npz", **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": None}, "corpus.json: it has no counts"),
        ({"counts": {"removed": {}}}, "corpus.json: photographs is None, expected a number"),
        ({"format": 7}, "it was prepared by another version"),
    ],
)
def test_damaged_summaries(folder, changes, message):
    rewrite(folder / "corpus.json", **changes)
    with pytest.raises(
        ValueError, match=f"{folder} does not contain a complete corpus .*{message}.*run `mofa3d prepare` again"
    ):
        Corpus(folder)


@pytest.mark.parametrize("content", [b"[]", b"3", b"[" * 100_000, b"\xff\xfe", b""])
def test_summaries_that_are_none(folder, content):
    (folder / "corpus.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"does not contain a complete corpus \(.*corpus\.json: "):
        Corpus(folder)


@pytest.mark.parametrize("line", ["[1, 2]", "{}", '["a"]', '["a", "b", "c"]', "null", "[" * 100_000])
def test_damaged_keys(folder, line):
    lines = (folder / "keys.jsonl").read_text().splitlines()
    (folder / "keys.jsonl").write_text("\n".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises(ValueError, match=r"keys\.jsonl: line 3 is not a pair of photograph and person"):
        Corpus(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"place": None}, "it has no 'place'"),
        ({"place": np.zeros((6, 3))}, r"'place' is float64 of the shape \(6, 3\), expected int64"),
        ({"place": np.full((6, 3), 9)}, r"000009\.tar: there is no such file"),
        ({"place": np.array([[0, 2**62, 5]] * 6)}, r"000000\.tar: it has .* bytes, and crops would lie beyond"),
        ({"place": np.array([[0, -1, 5]] * 6)}, "crops would lie beyond its ends"),
        (
            {"landmarks": np.full((6, 68, 2), np.nan, np.float32)},
            "'landmarks' has values that cannot be pixel coordinates",
        ),
        (
            {"landmarks": np.full((6, 68, 2), 1e30, np.float32)},
            "'landmarks' has values that cannot be pixel coordinates",
        ),
        ({"landmarks": np.zeros((5, 68, 2), np.float32)}, r"'landmarks' is float32 of the shape \(5, 68, 2\)"),
        ({"confidence": np.full((6, 68), 2, np.float32)}, "'confidence' has values outside 0 to 1"),
        ({"held_out": np.zeros(6)}, "'held_out' is float64"),
        ({"codes": np.full((6, 3), np.inf, np.float32)}, "'codes' has values that are NaN or infinite"),
        ({"codes": np.zeros(6, np.float32)[:3]}, "'codes' is float32"),
    ],
)
def test_damaged_indices(folder, changes, message):
    change_index(folder, **changes)
    with pytest.raises(ValueError, match=f"does not contain a complete corpus .*{message}"):
        Corpus(folder)


@pytest.mark.parametrize("content", [b"file,reason\na,b,c\n", b"file,reason\n" + b"x" * 200_000 + b",y\n", None])
def test_damaged_tables_of_failures(folder, content):
    corpus = Corpus(folder)
    assert len(corpus.failures) == 1
    (folder / "failures.csv").unlink()
    if content is not None:
        (folder / "failures.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"failures\.csv is not a table of files and reasons"):
        _ = corpus.failures


RECORDS = [b"[]", b"{}", b"[" * 100_000, b'{"fingerprint": "f", "photos": 3}', b"\x00",
           b'{"fingerprint": 1, "photos": [1]}',
           b'{"fingerprint": "f", "photos": [{"key": "a", "stamp": "", "faces": "1", "removed": []}]}',
           b'{"fingerprint": "f", "photos": [{"key": "a", "stamp": "", "faces": 1, "removed": ["abc"]}]}']  # fmt: skip


@pytest.mark.parametrize("content", RECORDS)
def test_damaged_records_are_named_and_their_blocks_done_again(folder, content):
    record = folder / "shards" / "000001.json"
    record.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"000001\.json is not a valid record of photographs .*delete it and prepare again"
    ):
        list(read_records(folder))
    assert finished_blocks(folder, lambda fingerprint, photos: True).keys() == {0}
    assert not record.exists()


def test_other_files_between_shards_stay(folder):
    for name in ("notes.json", "other.tar"):
        (folder / "shards" / name).write_text("mine")
    assert finished_blocks(folder, lambda fingerprint, photos: False) == {}
    assert {path.name for path in (folder / "shards").iterdir()} == {"notes.json", "other.tar"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": float("nan")}, "has nan where a finite number should be"),
        ({"left": "1"}, "has '1' where a finite number should be"),
        ({"left": 10**400}, "where a finite number should be"),
        ({"key": 3}, "has the key and the identity"),
        ({"landmarks": [[1.0, 2.0]] * 5}, "has 5 points and 68 confidences, expected 68"),
        ({"landmarks": [[1.0, 2.0, 3.0]] * 68}, "has 68 points"),
        ({"confidence": [2.0] * 68}, "has confidences or scores outside 0 to 1"),
        ({"expression": [-0.1] * 52}, "has confidences or scores outside 0 to 1"),
        ({"expression": [0.1] * 51}, "has 0 dense points and 51 scores"),
        ({"dense": [[1.0, 2.0]] * 478}, "has 478 dense points"),
        ({"roll": None}, "has None where"),
        ({"hash": -1}, "has the hash -1"),
        ({"code": ["a"]}, "has 'a' where"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_damaged_sidecars(folder, tmp_path, unchecked_types, change, message):
    path = tmp_path / "a.tar"
    with tarfile.open(folder / "shards" / "000000.tar") as old, tarfile.open(path, "w") as new:
        for member in old:
            data = old.extractfile(member).read()
            if member.name.endswith(".json"):
                data = json.dumps({**json.loads(data), **change}).encode()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    with pytest.raises(ValueError, match=rf"{path} is not a readable shard \(.*{message}"):
        list(read_shard(path))


def test_shards_are_never_unpacked(folder, tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(gzip.compress((folder / "shards" / "000000.tar").read_bytes()))
    with pytest.raises(ValueError, match=r"a\.tar is not a readable shard"):
        list(read_shard(path))


def test_compressed_archives_are_not_unpacked(tmp_path):
    with tarfile.open(tmp_path / "plain.tar", "w") as archive:
        data = encoded(Image.new("RGB", (9, 9)), "PNG")
        member = tarfile.TarInfo("a.png")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    (tmp_path / "packed.tar").write_bytes(gzip.compress((tmp_path / "plain.tar").read_bytes()))
    [item] = find_items([tmp_path / "packed.tar"])
    packed = tmp_path / "packed.tar"
    assert item.problem == f"{packed} is a compressed archive; unpack it to a plain .tar, or to a folder"
    [item] = find_items([tmp_path / "plain.tar"])
    assert (item.problem, item.key) == ("", "plain.tar#a.png")


def test_faces_of_photographs_that_are_not_there(folder):
    with pytest.raises(ValueError, match=r"000000\.tar holds a face of 'photos/Name0_Surname_0001\.jpg', which is no"):
        finish(folder, KEYS[1:], Decisions(duplicate_bits=-1), {})


def test_crops_that_say_they_are_huge():
    small = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG"))
    place = small.index(b"\xff\xc0") + 5
    small[place : place + 4] = b"\x20\x00\x20\x00"
    with pytest.raises(ValueError, match=r"it says that it has 8192×8192 pixels, and 4096 are the most"):
        decode_crop(bytes(small))


@pytest.mark.parametrize("value", ["1e39", "nan", "-inf", "1e7"])
def test_landmarks_that_are_no_pixels(tmp_path, value):
    path = tmp_path / "landmarks_68.csv"
    write_landmarks(path, {"a.jpg": np.ones((68, 2))})
    path.write_text(path.read_text().replace("1.00", value, 1))
    with pytest.raises(
        ValueError, match=rf"{path}, row 2: a coordinate is not finite, or cannot be a pixel of a photograph"
    ):
        read_landmarks(path)
