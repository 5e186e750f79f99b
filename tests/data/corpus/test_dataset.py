"""A corpus opens from its folder, whatever process reads it, and says what is wrong with a broken one."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from flat_corpus import KEYS, make_corpus

from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus, sources_of
from mofa3d.data.corpus.open import open_corpus
from mofa3d.data.corpus.shards import decode_crop, encode_crop
from mofa3d.data.photo import to_tensor


def grey(corpus: Corpus, index: int) -> float:
    return float(corpus[index]["image"].mean() * 255)


class TestFaces:
    def test_come_in_the_order_of_their_photographs(self, tmp_path):
        corpus = make_corpus(tmp_path)
        assert corpus.photos == KEYS
        for index in (0, 7, 19, 20, 39):
            assert grey(corpus, index) == pytest.approx(6 * index, abs=1)

    def test_many_threads_open_each_shard_once(self, tmp_path, monkeypatch):
        corpus, opened, closed = make_corpus(tmp_path), [], []

        def open_slowly(*arguments) -> int:
            time.sleep(0.01)  # as on a distant disk
            opened.append(os_open(*arguments))
            return opened[-1]

        os_open, os_close = os.open, os.close
        monkeypatch.setattr(os, "open", open_slowly)
        monkeypatch.setattr(os, "close", lambda file: closed.append(file) or os_close(file))
        with ThreadPoolExecutor(16) as pool:
            greys = list(pool.map(lambda index: grey(corpus, index), range(40)))
        assert greys == pytest.approx([6 * index for index in range(40)], abs=1)
        assert len(opened) - len(closed) == 4

    def test_points_are_known_or_not(self, tmp_path):
        corpus = make_corpus(tmp_path)
        assert corpus[3]["landmarks"].tolist() == [[3, 1]] * 68
        assert corpus[3]["confidence"].tolist() == [0.5] * 68
        assert not corpus[4]["confidence"].any()
        assert corpus.codes is None
        assert "code" not in corpus[3]

    def test_duplicates_are_those_of_earlier_photographs(self, tmp_path):
        hashes = [number << 40 for number in range(40)]
        hashes[25] = hashes[3]  # written before it, but later in order
        corpus = make_corpus(tmp_path, hashes, duplicate_bits=0)
        assert corpus.photos == KEYS[:25] + KEYS[26:]
        assert grey(corpus, 25) == pytest.approx(6 * 26, abs=1)
        assert corpus.summary["counts"]["duplicates"] == 1

    def test_identities_are_held_out_whole(self, tmp_path):
        corpus = make_corpus(tmp_path, held_out=0.3, seed=4)
        assert 0 < corpus.held_out.sum() < 40
        of_name = {name: {bool(out) for n, out in zip(corpus.identities, corpus.held_out, strict=True) if n == name}
                   for name in corpus.identities}  # fmt: skip
        assert all(len(values) == 1 for values in of_name.values())
        other = make_corpus(tmp_path, held_out=0.3, seed=5)
        assert not np.array_equal(corpus.held_out, other.held_out)

    def test_read_by_threads_and_other_processes(self, tmp_path):
        corpus = make_corpus(tmp_path)
        copy = pickle.loads(pickle.dumps(corpus))
        with ThreadPoolExecutor(4) as pool:
            values = list(pool.map(lambda i: grey(copy, i % 40), range(200)))
        assert values == pytest.approx([6 * (i % 40) for i in range(200)], abs=1)

    def test_item_is_the_crop(self, tmp_path):
        crop = decode_crop(encode_crop(np.full((8, 8, 3), 6 * 5, np.uint8)))
        assert torch.equal(make_corpus(tmp_path)[5]["image"], to_tensor(crop))


class TestBroken:
    def test_no_corpus(self, tmp_path):
        with pytest.raises(ValueError, match=r"does not contain a complete corpus .*run `mofa3d prepare` again"):
            Corpus(tmp_path)

    @pytest.mark.parametrize("name", ["corpus.json", "index.npz", "keys.jsonl"])
    def test_damaged_files(self, tmp_path, name):
        make_corpus(tmp_path)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:50])
        with pytest.raises(ValueError, match="does not contain a complete corpus"):
            Corpus(tmp_path)

    def test_pickles_are_refused(self, tmp_path):
        make_corpus(tmp_path)
        with open(tmp_path / "index.npz", "wb") as file:
            np.savez(file, landmarks=np.array([print], dtype=object))
        with pytest.raises(ValueError, match="does not contain a complete corpus"):
            Corpus(tmp_path)

    def test_another_format(self, tmp_path):
        make_corpus(tmp_path)
        summary = json.loads((tmp_path / "corpus.json").read_text())
        (tmp_path / "corpus.json").write_text(json.dumps({**summary, "format": 0}))
        with pytest.raises(ValueError, match="was prepared by another version of mofa3d"):
            Corpus(tmp_path)


class TestSources:
    def test_a_few_folders_are_one_each(self):
        assert sources_of(["f/a/x/1.jpg", "f/b/2.jpg", "f/3.jpg", "g.jpg"]) == ["a", "b", "f", "g.jpg"]

    def test_many_folders_are_one_together(self):
        assert set(sources_of([f"lfw/{n}/1.jpg" for n in range(21)])) == {"lfw"}
        assert len(set(sources_of([f"lfw/{n}/1.jpg" for n in range(20)]))) == 20

    def test_a_single_folder_is_not_told_apart(self):
        assert sources_of(["ytf/images/1.jpg", "ytf/images/2.jpg"]) == ["ytf", "ytf"]

    def test_videos_and_archives(self):
        assert sources_of(["f/talk.mp4#000030", "s.tar#a/b/1.jpg"]) == ["f", "s.tar"]


class TestOpen:
    def test_prepared_corpus(self, tmp_path):
        make_corpus(tmp_path / "corpus")
        assert len(open_corpus(tmp_path / "corpus", tmp_path / "cache")) == 40
        assert not (tmp_path / "cache").exists()

    def test_plain_folder_is_prepared_into_the_cache(self, tmp_path, portrait):
        (tmp_path / "photos").mkdir()
        shutil.copyfile(portrait, tmp_path / "photos" / "1.jpg")
        config = PrepareConfig(landmarks="none")
        corpus = open_corpus(tmp_path / "photos", tmp_path / "cache", config, workers=1)
        assert corpus.photos == ["photos/1.jpg"]
        assert corpus.folder.parent == tmp_path / "cache"
        other = tmp_path / "elsewhere" / "photos"
        other.mkdir(parents=True)
        shutil.copyfile(portrait, other / "2.jpg")
        assert open_corpus(other, tmp_path / "cache", config, workers=1).photos == ["photos/2.jpg"]
        assert len(list((tmp_path / "cache").iterdir())) == 2

    def test_missing_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"no folder .*nowhere; give a folder of photographs, or a corpus"):
            open_corpus(tmp_path / "nowhere", tmp_path)
