"""Photographs become a corpus once; what cannot be used is listed, and what has changed is done again."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from prepared_corpus import NOISE, PHOTOS, contents, crops, expected_crop, first_crop, run

from mofa3d.data import dlib_landmarks
from mofa3d.data.corpus import examine
from mofa3d.data.corpus import prepare as module
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.prune import Limits
from mofa3d.data.corpus.shards import read_shard
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.landmark_table import LANDMARKS_FILE
from mofa3d.data.photo import read_photo
from mofa3d.data.sources import Item
from mofa3d.errors import InputError


class TestPhotographs:
    def test_every_face_is_cropped(self, root, out, portrait):
        corpus = run(root, out)
        assert (len(corpus), corpus.photos, corpus.failures) == (3, PHOTOS, [])
        expected = expected_crop(read_photo(portrait))
        assert all(np.array_equal(crop, expected) for crop in crops(corpus))
        assert [int(corpus[i]["index"]) for i in range(3)] == [0, 1, 2]

    def test_sources_and_identities(self, root, out):
        corpus = run(root, out)
        assert corpus.sources == ["lfw", "lfw", "photos"]
        assert corpus.identities == ["Grace_Hopper", PHOTOS[1], PHOTOS[2]]

    def test_crops_can_be_put_back(self, root, out, portrait):
        run(root, out)
        faces = [face for face, _, _ in read_shard(out / "shards" / "000000.tar")]
        _, transform = first_crop(read_photo(portrait))
        face = faces[0]
        back = CropTransform(face.left, face.top, face.scale, face.roll).to_photo(np.array([[0.0, 0.0], [240, 240]]))
        np.testing.assert_allclose(back, transform.to_photo(np.array([[0.0, 0.0], [240, 240]])), atol=1e-3)

    def test_what_cannot_be_used_is_left_out_and_listed(self, root, out, portrait):
        (root / "cut.jpg").write_bytes(portrait.read_bytes()[:20_000])
        (root / "lfw" / "ü, text.png").write_text("no image")
        Image.fromarray(NOISE).save(root / "noise.png")
        corpus = run(root, out)
        assert corpus.photos == PHOTOS
        reasons = {failure.photo: failure.reason for failure in corpus.failures}
        assert list(reasons) == ["photos/cut.jpg", "photos/lfw/ü, text.png", "photos/noise.png"]
        assert reasons["photos/noise.png"] == "no face was found"
        assert reasons["photos/cut.jpg"].startswith(f"{root / 'cut.jpg'} is damaged")
        assert "is not an image that can be read" in reasons["photos/lfw/ü, text.png"]
        with open(out / "failures.csv", newline="", encoding="utf-8") as file:
            assert list(csv.reader(file)) == [["file", "reason"], *map(list, reasons.items())]
        counts = corpus.summary["counts"]
        assert counts["photographs"] == 6
        assert counts["removed"] == {"no face": 1, "unreadable": 2}

    def test_rules_leave_faces_out(self, root, out, portrait):
        grey = cv2.cvtColor(cv2.cvtColor(read_photo(portrait), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        Image.fromarray(grey).save(root / "grey.png")
        corpus = run(root, out)
        assert corpus.photos == PHOTOS
        [failure] = corpus.failures
        assert failure.photo == "photos/grey.png"
        assert failure.reason.startswith("the colorfulness is 0.00")
        assert [path.name for path in (out / "removed").iterdir()] == ["000000-grey-000.jpg"]

    def test_duplicates_stay_in_the_shards_and_leave_the_corpus(self, root, out):
        corpus = run(root, out, limits=Limits())
        assert corpus.photos == PHOTOS[:1]
        assert corpus.summary["counts"]["duplicates"] == 2
        before = contents(out)
        assert len(run(root, out)) == 3  # nothing is done again
        assert contents(out) == before

    def test_all_faces_of_a_photograph(self, tmp_path, out, portrait):
        face = read_photo(portrait)[60:400, 100:440]
        (tmp_path / "photos").mkdir()
        Image.fromarray(np.concatenate([face, face], axis=1)).save(tmp_path / "photos" / "two.png")
        assert run(tmp_path / "photos", out).photos == ["photos/two.png"]
        both = run(tmp_path / "photos", out, faces="all")
        assert both.photos == ["photos/two.png", "photos/two.png/1"]
        assert both.identities == both.photos  # nobody knows who the others are

    def test_several_blocks_and_processes_give_the_same(self, tmp_path, portrait):
        small = cv2.resize(read_photo(portrait), (128, 150), interpolation=cv2.INTER_AREA)
        (tmp_path / "photos").mkdir()
        for shift in range(33):
            Image.fromarray(np.roll(small, shift - 16, axis=1)).save(tmp_path / "photos" / f"{shift:02}.png")
        one, two = (run(tmp_path / "photos", tmp_path / f"{n}", workers=n, block=5) for n in (1, 2))
        assert one.photos == two.photos
        assert len(one) > 25
        assert contents(one.folder) == contents(two.folder)
        assert len(contents(one.folder)) == 7


@pytest.mark.parametrize(
    ("item", "identity"),
    [
        (Item("faces/a/Ann_Lee_0001.jpg", Path(), Path()), "Ann_Lee"),
        (Item("faces/a/0001.jpg", Path(), Path()), "faces/a/0001.jpg"),
        (Item("Ann_Lee_0001.mp4#000060", Path(), Path(), frame=60), "Ann_Lee_0001.mp4"),
        (Item("s.tar#a/Ann_Lee_0001.jpg", Path(), Path(), offset=512), "Ann_Lee"),
        (Item("s.tar#0001.jpg", Path(), Path(), offset=512), "s.tar#0001.jpg"),
    ],
)
def test_identities(item, identity):
    assert examine.identity_in(item) == identity


class TestAgain:
    def test_nothing_is_done_twice(self, root, out, searched, monkeypatch):
        Image.fromarray(NOISE).save(root / "noise.png")
        first = run(root, out)
        del searched[:]
        monkeypatch.setattr(module, "finish", None)
        second = run(root, out)
        assert searched == []
        assert (second.photos, second.failures) == (first.photos, first.failures)
        assert np.array_equal(crops(second), crops(first))

    def test_no_temporary_files_are_left(self, root, out):
        run(root, out)
        assert sorted(path.name for path in out.iterdir()) == [
            ".lock", ".mofa3d", "corpus.json", "failures.csv", "index.npz", "keys.jsonl", "removed", "report",
            "report.html", "shards",
        ]  # fmt: skip
        assert sorted(path.name for path in (out / "shards").iterdir()) == ["000000.json", "000000.tar", "sizes.json"]

    def test_only_the_block_of_a_changed_photograph_is_done_again(self, root, out, portrait, searched):
        first = run(root, out, block=1)
        mirrored = cv2.resize(read_photo(portrait), (500, 586), interpolation=cv2.INTER_AREA)[:, ::-1]
        Image.fromarray(mirrored).save(root.parent / PHOTOS[1], quality=95)
        del searched[:]
        second = run(root, out, block=1)
        assert searched == [(586, 500, 3)]
        assert second.photos == first.photos
        assert np.array_equal(crops(second)[1], expected_crop(read_photo(root.parent / PHOTOS[1])))
        assert np.array_equal(crops(second)[[0, 2]], crops(first)[[0, 2]])

    def test_only_new_photographs_are_searched(self, root, out, portrait, searched):
        run(root, out)
        shutil.copyfile(portrait, root / "lfw" / "A_B_0001.jpg")
        del searched[:]
        corpus = run(root, out)
        assert len(searched) == 1
        assert corpus.photos == ["photos/lfw/A_B_0001.jpg", *PHOTOS]

    def test_a_photograph_that_is_gone_leaves_the_corpus(self, root, out):
        run(root, out)
        (root.parent / PHOTOS[0]).unlink()
        assert run(root, out).photos == PHOTOS[1:]

    def test_other_settings_do_everything_again(self, root, out, searched):
        run(root, out)
        del searched[:]
        run(root, out, limits=Limits(min_size=30, duplicate_bits=-1))
        assert len(searched) == 3

    @pytest.mark.parametrize("lost", ["shards/000001.tar", "shards/000001.json"])
    def test_a_block_that_was_interrupted_is_done_again(self, root, out, searched, lost):
        run(root, out, block=1)
        before = contents(out)
        (out / lost).unlink()
        (out / "shards" / ".000001.tar.77").write_text("half")
        del searched[:]
        run(root, out, block=1)
        assert len(searched) == 1
        assert contents(out) == before
        assert not list((out / "shards").glob(".*"))


def test_two_at_once_both_end_well(root, tmp_path):
    command = [sys.executable, "-m", "mofa3d", "prepare", str(root), "--landmarks", "none", "--block", "1"]
    command += ["--duplicate-bits", "-1", "--out", str(tmp_path / "corpus")]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert Corpus(tmp_path / "corpus").photos == PHOTOS


class TestErrors:
    def test_no_face_anywhere(self, tmp_path, out):
        (tmp_path / "photos").mkdir()
        Image.fromarray(NOISE).save(tmp_path / "photos" / "a.png")
        (tmp_path / "photos" / "b.png").write_text("no image")
        message = r"no usable face in any of the 2 photographs \(no face 1 times, unreadable 1 times; see .*failures"
        for _ in range(2):  # also from what is there already
            with pytest.raises(ValueError, match=message):
                run(tmp_path / "photos", out)
        assert len((out / "failures.csv").read_text().splitlines()) == 3

    def test_malformed_table(self, root, out):
        (root / LANDMARKS_FILE).write_text("file,x,y\n")
        with pytest.raises(ValueError, match=r"landmarks_68\.csv, row 1: expected the columns"):
            run(root, out, landmarks="csv")

    def test_missing_dlib(self, root, out, monkeypatch):
        def missing(*_):
            raise InputError("detecting landmarks needs the package dlib-bin")

        monkeypatch.setattr(dlib_landmarks, "detect_landmarks", missing)
        with pytest.raises(ValueError, match="needs the package dlib-bin"):
            run(root, out, landmarks="dlib")

    def test_settings_out_of_range(self):
        with pytest.raises(ValueError, match="block is 0; give a number from 1"):
            PrepareConfig(block=0)
