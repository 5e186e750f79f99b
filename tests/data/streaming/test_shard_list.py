"""Shards are found in folders, by patterns and behind URLs, and counted once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from file_server import serving
from flat_corpus import make_corpus

from mofa3d.data import remote
from mofa3d.data.corpus.open import names_shards
from mofa3d.data.corpus.shards import Face, write_shard
from mofa3d.data.streaming import shard_list
from mofa3d.data.streaming.shard_list import find_shards
from mofa3d.errors import InputError


@pytest.fixture
def shards(tmp_path):
    """Two folders of shards whose sizes nobody has written down."""
    for folder, count in (("a", 2), ("b", 3)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(count):
            faces = [(Face(f"{folder}/{i}.jpg", "Ann"), b"jpeg") for i in range(number + 1)]
            write_shard(tmp_path / "data" / folder / f"{number:06d}.tar", faces)
    return tmp_path / "data"


def relative(found, root) -> list[str]:
    return [name.removeprefix(str(root)).replace("\\", "/") for name in found.names]


@pytest.mark.parametrize(("pattern", "names", "counts"), [
    ("/b", ["/b/000000.tar", "/b/000001.tar", "/b/000002.tar"], [1, 2, 3]),
    ("/*/000001.tar", ["/a/000001.tar", "/b/000001.tar"], [2, 2]),
    ("/b/{000001..000002}.tar", ["/b/000001.tar", "/b/000002.tar"], [2, 3]),
    ("/b/000002.tar", ["/b/000002.tar"], [3]),
])  # fmt: skip
def test_folders_and_patterns_here_and_over_http(shards, tmp_path, pattern, names, counts):
    with serving(shards) as server:
        for root in (shards, server.url):
            found = find_shards(f"{root}{pattern}", tmp_path / "cache")
            assert relative(found, root) == names
            assert found.counts.tolist() == counts
            assert found.total == sum(counts)
            assert found.starts.tolist() == (np.cumsum(counts) - counts).tolist()


def test_sizes_of_a_corpus_are_written_and_believed(tmp_path, monkeypatch):
    make_corpus(tmp_path / "corpus")
    sizes = tmp_path / "corpus" / "shards" / "sizes.json"
    assert json.loads(sizes.read_text()) == {f"00000{n}.tar": 10 for n in range(4)}
    monkeypatch.setattr(shard_list, "open_shard", None)  # nothing is read
    assert find_shards(str(tmp_path / "corpus"), tmp_path).counts.tolist() == [10] * 4
    sizes.write_text('{"000000.tar": "many"}')
    with pytest.raises(InputError, match=r"sizes.json must say a number of samples for each shard"):
        find_shards(str(tmp_path / "corpus"), tmp_path)


def test_shards_are_counted_once_until_they_change(shards, tmp_path, monkeypatch):
    find_shards(str(shards / "a"), tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(shard_list, "count_samples", lambda file: pytest.fail("counted again"))
        assert find_shards(str(shards / "a"), tmp_path / "cache").counts.tolist() == [1, 2]
    write_shard(shards / "a" / "000000.tar", [(Face("x", "Ann"), b"jpeg" * 600)] * 5)
    assert find_shards(str(shards / "a"), tmp_path / "cache").counts.tolist() == [5, 2]


def test_what_names_no_shards(shards, tmp_path):
    assert names_shards("s3://bucket/part-*/shards/*.tar")
    assert names_shards(str(shards / "a" / "{000000..000001}.tar"))
    assert not names_shards(str(shards))  # photographs to prepare
    (shards / "a" / "sizes.json").write_text("{}")
    assert names_shards(str(shards / "a"))
    assert not names_shards("C:/photographs")
    with pytest.raises(InputError, match=r"names no shard; give a folder of .tar shards"):
        find_shards(str(tmp_path / "cache" / "*.tar"), tmp_path)
    with pytest.raises(InputError, match="there is no shard"):
        find_shards(str(shards / "a" / "{000000..000007}.tar"), tmp_path)


def test_damaged_shards_are_named_when_they_are_counted(shards, tmp_path):
    path = shards / "b" / "000002.tar"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"000002.tar cannot be read|000002.tar: it ends"):
        find_shards(str(shards / "b"), tmp_path / "cache")


def test_unknown_protocols_say_what_to_install():
    with pytest.raises(InputError, match=r"nonsense:// cannot be read .*pip install mofa3d\[remote\]"):
        remote.read_url("nonsense://a/b")


def test_requests_are_tried_again(shards, monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    with serving(shards) as server:
        server.fail["/a/000000.tar"] = 2
        assert remote.read_url(f"{server.url}/a/000000.tar") == (shards / "a" / "000000.tar").read_bytes()
        assert remote.read_url(f"{server.url}/a/000000.tar", 512, 516) == b"jpeg"
        with pytest.raises(InputError, match=f"there is no {server.url}/a/7.tar"):
            remote.read_url(f"{server.url}/a/7.tar")
        server.fail["/a/000000.tar"] = 3
        with pytest.raises(InputError, match=r"000000.tar cannot be read .*503"):
            remote.read_url(f"{server.url}/a/000000.tar")
        server.fail["/a/000001.tar"] = 2
        assert remote.url_exists(f"{server.url}/a/000001.tar")
        assert not remote.url_exists(f"{server.url}/a/7.tar")
        server.fail["/a/000001.tar"] = 3
        with pytest.raises(InputError, match=r"000001.tar cannot be read .*503"):  # which is no no
            remote.url_exists(f"{server.url}/a/000001.tar")
