"""A stream gives the same batches from everywhere, to one process or several, and says what it cannot read."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from file_server import serving
from flat_corpus import KEYS, make_corpus

from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.stream import StreamConfig
from mofa3d.data.corpus.shards import decode_crop, encode_crop
from mofa3d.data.streaming import shard_list
from mofa3d.data.streaming.shard_list import ShardList, find_shards
from mofa3d.data.streaming.shard_names import ShardNames
from mofa3d.data.streaming.shard_stream import ShardStream
from mofa3d.errors import InputError

CHANGES = AugmentConfig(shift=2.0, color=0.1, occluders=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Forty faces in four shards."""
    return make_corpus(tmp_path_factory.mktemp("corpus")).folder


def take(shards: ShardList | Path, count: int = 12, fraction: float = 0.0, **options) -> list[dict]:
    names = ("buffer", "workers", "unreadable")
    config = StreamConfig(**{"buffer": 24, **{name: options.pop(name) for name in names if name in options}})
    found = shards if isinstance(shards, ShardList) else find_shards(str(shards), shards / "cache")
    stream = ShardStream(found, fraction, 4, config)
    return list(islice(stream.batches(**{"batch_size": 4, "seed": 0, "changes": CHANGES, **options}), count))


def same(first: list[dict], second: list[dict]) -> bool:
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(first, second, strict=True)
    )


def seen(batches: list[dict]) -> list[int]:
    return torch.cat([batch["index"] for batch in batches]).tolist()


def test_items_are_the_faces_of_the_shards(folder):
    # The corpus's faces in the order of its shards: the second half of the keys is in the first two.
    numbers = [*range(20, 40), *range(20)]
    for batch in take(folder, 10, changes=AugmentConfig(mirror=0.0)):
        for row, index in enumerate(batch["index"].tolist()):
            grey = decode_crop(encode_crop(np.full((8, 8, 3), 6 * numbers[index], np.uint8)))
            assert torch.equal(batch["image"][row], torch.from_numpy(grey).permute(2, 0, 1) / 255)
            known = numbers[index] % 2
            assert batch["confidence"][row].tolist() == [0.5 * known] * 68
            assert batch["landmarks"][row, 0].tolist() == ([numbers[index], 1.0] if known else [0, 0])


def test_every_epoch_sees_everything_once_in_another_order(folder):
    stream = seen(take(folder, 30))
    epochs = [stream[start : start + 40] for start in (0, 40, 80)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert seen(take(folder, 30, seed=1)) != stream


@pytest.mark.parametrize("start", [1, 7, 10, 23])
def test_resumed_stream_goes_on_with_the_same_batches(folder, start):
    assert same(take(folder, start + 3)[start:], take(folder, 3, start=start))


@pytest.mark.parametrize("world", [2, 4])
def test_rows_of_all_ranks_are_the_batches_of_one_process(folder, world):
    whole = take(folder, fraction=0.3)
    parts = [take(folder, fraction=0.3, rank=rank, world=world) for rank in range(world)]
    joined = [{name: torch.cat([row[name] for row in rows]) for name in rows[0]} for rows in zip(*parts, strict=True)]
    assert same(joined, whole)


@pytest.mark.slow
def test_rows_of_worker_processes_are_those_of_threads(folder):
    assert same(take(folder, 5, workers=2), take(folder, 5))
    assert same(take(folder, 3, workers=3, rank=1, world=2), take(folder, 3, rank=1, world=2))  # more than lanes
    damaged = ShardList(ShardNames(["nowhere.tar"]), np.array([10]))
    with pytest.raises(InputError, match=r"^nowhere.tar: .*No such file.*--streaming.unreadable skip$"):
        take(damaged, 1, workers=1)


def test_the_same_from_memory_and_over_http(folder, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder / "shards"), "/corpus/shards", recursive=True)
    here = take(folder, 15, fraction=0.3)
    try:
        assert same(take(find_shards("memory://corpus/shards", tmp_path), 15, fraction=0.3), here)
        assert same(take(find_shards("memory://corpus/*/*.tar", tmp_path), 15, fraction=0.3), here)
    finally:
        memory.rm("/corpus", recursive=True)
    with serving(folder) as server:
        shards = find_shards(server.url, tmp_path)
        assert same(take(shards, 15, fraction=0.3), here)
        monkeypatch.setattr(shard_list, "FETCHED", 0)  # as large shards, in blocks
        assert same(take(shards, 15, fraction=0.3), here)


def test_people_who_are_held_out_are_not_trained_on_and_others_come_twice(folder):
    order = [*range(20, 40), *range(20)]
    whole = {KEYS[order[index]].split("/")[1].split("_")[0] for index in seen(take(folder, 10, fraction=0.3))}
    indices = seen(take(folder, 20, fraction=0.3))
    assert 0 < 10 - len(whole) < 6
    for start in (0, 40):  # epochs are as long as before
        epoch = indices[start : start + 40]
        assert len(set(epoch)) == 4 * len(whole)
        assert max(epoch.count(index) for index in epoch) <= 3


class TestUnreadable:
    @pytest.fixture
    def damaged(self, tmp_path) -> Path:
        folder = make_corpus(tmp_path / "corpus").folder
        path = folder / "shards" / "000002.tar"
        path.write_bytes(path.read_bytes()[:3000])
        return folder

    def test_the_run_stops_and_names_the_shard(self, damaged):
        with pytest.raises(InputError, match=r"000002.tar: it ends after 1 samples; .*--streaming.unreadable skip"):
            take(damaged, 10)

    @pytest.mark.parametrize("damage", ["cut", "gone", "nonsense"])
    def test_the_run_goes_on_and_names_the_shard(self, damaged, damage, caplog):
        path = damaged / "shards" / "000002.tar"
        if damage == "gone":
            path.unlink()
            names = ShardNames(str(damaged / "shards" / f"00000{n}.tar") for n in range(4))
            shards = ShardList(names, np.full(4, 10))
        else:
            if damage == "nonsense":
                path.write_bytes(bytes(range(256)) * 40)
            shards = find_shards(str(damaged), damaged / "cache")
        with caplog.at_level(logging.WARNING):
            batches = take(shards, 20, unreadable="skip")
        assert [record.message.split("000002.tar is left out")[0] for record in caplog.records] == [
            str(damaged / "shards") + "/"
        ]
        assert set(seen(batches)) == set(range(20)) | set(range(30, 40))
        assert same(take(shards, 3, start=11, unreadable="skip"), batches[11:14])

    def test_a_damaged_crop_is_named_and_another_one_comes(self, damaged, tmp_path, caplog):
        folder = make_corpus(tmp_path / "other").folder
        path = folder / "shards" / "000001.tar"
        content = path.read_bytes()
        path.write_bytes(content.replace(b"\xff\xd8\xff", b"\0\0\0", 1))  # what its first crop begins with
        with pytest.raises(InputError, match=r"_0030.jpg in .*000001.tar: a crop in a shard is damaged"):
            take(folder, 10)
        with caplog.at_level(logging.WARNING):
            batches = take(folder, 10, unreadable="skip")
        assert len(caplog.records) == 1
        assert set(seen(batches)) == set(range(40)) - {10}

    def test_nothing_at_all_ends_it(self, tmp_path):
        shards = ShardList(ShardNames([str(tmp_path / "a.tar")]), np.array([1000]))
        with pytest.raises(InputError, match=r"there is nothing to train on in 64 places of the shards .*a.tar"):
            take(shards, 1, unreadable="skip")
