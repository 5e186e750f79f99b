"""Corpora and shards behind URLs are the data of a training as those on this machine are."""

from __future__ import annotations

import logging
import pickle
from itertools import islice
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from file_server import serving
from flat_corpus import make_corpus

from mofa3d.data.batches.stream import StreamConfig, batches
from mofa3d.data.corpus import shard_files
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.open import Faces, open_faces
from mofa3d.data.corpus.synthetic_config import SyntheticConfig
from mofa3d.data.streaming import open as module
from mofa3d.data.streaming.open import open_remote_corpus
from mofa3d.data.streaming.readable_faces import ReadableFaces
from mofa3d.errors import InputError


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    """Forty faces in four shards."""
    return make_corpus(tmp_path / "corpus", held_out=0.3, seed=4)


@pytest.fixture
def memory(corpus):
    """The corpus in fsspec's memory."""
    system = fsspec.filesystem("memory")
    system.put(str(corpus.folder), "/faces", recursive=True)
    yield system
    system.rm("/faces", recursive=True)


def drawn(corpus: Corpus) -> list[dict]:
    kept = np.flatnonzero(~corpus.held_out).tolist()
    return list(islice(batches(corpus, kept, 4, 0, shards=corpus.shards_of(kept)), 20))


def same(first: list[dict], second: list[dict]) -> bool:
    return all(torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


@pytest.mark.parametrize("largest", [shard_files.LARGEST, 0])
def test_a_corpus_gives_the_same_batches_over_http(corpus, tmp_path, largest, monkeypatch):
    monkeypatch.setattr(shard_files, "LARGEST", largest)  # 0: every shard is read crop by crop
    with serving(corpus.folder) as server:
        remote = open_remote_corpus(server.url, tmp_path / "cache")
        assert same(drawn(remote), drawn(corpus))
        assert (remote.photos, remote.summary, remote.failures) == (corpus.photos, corpus.summary, [])
        assert remote.face(7) == corpus.face(7)
        if largest:
            assert {server.asked[f"/shards/{n:06d}.tar"] for n in range(4)} == {1}
        assert same([pickle.loads(pickle.dumps(remote))[3]], [corpus[3]])


def test_a_corpus_gives_the_same_batches_from_memory_and_is_copied_when_it_changes(
    corpus, memory, tmp_path, monkeypatch
):
    assert same(drawn(open_remote_corpus("memory://faces", tmp_path / "cache")), drawn(corpus))
    copied = []
    copy = module.copy_url
    monkeypatch.setattr(module, "copy_url", lambda url, path: copied.append(path.name) or copy(url, path))
    open_remote_corpus("memory://faces", tmp_path / "cache")
    assert copied == ["failures.csv"]
    memory.put(str(corpus.folder / "keys.jsonl"), "/faces/keys.jsonl")
    open_remote_corpus("memory://faces", tmp_path / "cache")
    assert copied[1:] == ["keys.jsonl", "failures.csv"]


def test_an_incomplete_corpus_names_what_is_missing(corpus, memory, tmp_path):
    memory.rm("/faces/index.npz")
    with pytest.raises(InputError, match=r"there is no memory://faces/index.npz"):
        open_remote_corpus("memory://faces", tmp_path / "cache")


def test_few_shards_are_kept_in_memory(corpus, memory, tmp_path, monkeypatch):
    remote = open_remote_corpus("memory://faces", tmp_path / "cache")
    monkeypatch.setattr(shard_files, "MOST_HELD", 30_000)
    for index in range(40):
        assert torch.equal(remote[index]["image"], corpus[index]["image"])
    assert 1 <= len(remote._shards._held) < 4


class TestUnreadable:
    def test_other_faces_come_in_the_place_of_a_shard_s_and_it_is_named(self, corpus, memory, tmp_path, caplog):
        remote = open_remote_corpus("memory://faces", tmp_path / "cache")
        memory.rm("/faces/shards/000001.tar")
        with pytest.raises(InputError, match=r"_0035.jpg in memory://faces/shards/000001.tar: there is no memory://"):
            remote[35]
        faces = ReadableFaces(remote, range(40))
        with caplog.at_level(logging.WARNING):
            seen = [int(faces[index]["index"]) for index in range(40)]
        assert len(caplog.records) == 1
        assert "000001.tar" in caplog.text
        assert [index for index in range(40) if seen[index] != index] == list(range(30, 40))
        assert set(seen[30:]) <= set(range(30))
        assert seen == [int(faces[index]["index"]) for index in range(40)]
        assert list(faces.unreadable) == [1]

    def test_nothing_at_all_ends_it(self, corpus, memory, tmp_path):
        remote = open_remote_corpus("memory://faces", tmp_path / "cache")
        memory.rm("/faces/shards", recursive=True)
        with pytest.raises(InputError, match="64 faces, one after the other, cannot be read; the last one: photos/"):
            ReadableFaces(remote, range(40))[0]


class TestFaces:
    @staticmethod
    def open(data: str | Path, model, cache: Path, streaming: StreamConfig | None = None, **options) -> Faces:
        return open_faces(str(data), SyntheticConfig(), model, lambda _: None, cache, streaming=streaming, **options)

    def test_shards_are_trained_on_but_for_a_few_to_report_on(self, corpus, tiny_model, tmp_path):
        options = {"held_out_fraction": 0.3, "seed": 4}
        faces = self.open(corpus.folder / "shards", tiny_model, tmp_path / "cache", StreamConfig(buffer=20), **options)
        held = {corpus.identities[index] for index in np.flatnonzero(corpus.held_out)}
        assert set(faces.dataset.identities) == held
        assert (faces.train, len(faces.test)) == ([], len(faces.dataset)) == ([], 4 * len(held))
        assert f"40 faces in 4 shards of 1 folders, 30.0% of the people held out, {4 * len(held)} faces" in faces.fact
        trained = torch.cat([batch["index"] for batch in islice(faces.stream.batches(4, 0), 20)]).tolist()
        order = [*range(20, 40), *range(20)]
        assert {corpus.identities[order[index]] for index in trained} == set(corpus.identities) - held
        # What is kept in the cache is not looked for again.
        for shard in corpus.folder.glob("shards/*.tar"):
            shard.write_bytes(b"")
        again = self.open(corpus.folder / "shards", tiny_model, tmp_path / "cache", StreamConfig(), **options)
        assert again.dataset.photos == faces.dataset.photos

    def test_the_url_of_a_corpus_is_the_corpus(self, corpus, memory, tiny_model, tmp_path):
        faces = self.open("memory://faces", tiny_model, tmp_path / "cache")
        local = self.open(corpus.folder, tiny_model, tmp_path / "cache")
        assert (faces.train, faces.test, faces.stream) == (local.train, local.test, None)
        assert faces.fact == local.fact.replace(str(corpus.folder), "memory://faces")
        assert faces.has_landmarks

    def test_what_cannot_be_streamed_is_refused(self, corpus, tiny_model, tmp_path):
        shards = corpus.folder / "shards" / "*.tar"
        with pytest.raises(
            InputError, match=r"names shards without an index, which only experiments/train_mofa.py can"
        ):
            self.open(shards, tiny_model, tmp_path / "cache")
        with pytest.raises(InputError, match="none of 40 faces is held out; give another share as --held-out"):
            self.open(shards, tiny_model, tmp_path / "cache", StreamConfig(), held_out_fraction=0.0)
