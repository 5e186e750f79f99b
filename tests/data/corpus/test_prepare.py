"""Photographs become a corpus once; what cannot be used is listed, and what has changed is done again."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from landmark_tables import write_landmarks
from PIL import Image

from mofa3d.data import crop, dlib_landmarks
from mofa3d.data.corpus import examine
from mofa3d.data.corpus import prepare as module
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.prepare import prepare
from mofa3d.data.corpus.prune import Limits
from mofa3d.data.corpus.shards import decode_crop, encode_crop, read_shard
from mofa3d.data.crop import CropTransform, crop_face
from mofa3d.data.detect import detect_faces
from mofa3d.data.landmark_table import LANDMARKS_FILE
from mofa3d.data.photo import read_photo
from mofa3d.data.sources import Item
from mofa3d.errors import InputError

PHOTOS = ["photos/lfw/Grace_Hopper_0001.jpg", "photos/lfw/IMG_0002.jpg", "photos/own.jpg"]
COPIES = Limits(duplicate_bits=-1)  # the same portrait several times
NOISE = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)


def face_points() -> np.ndarray:
    """68 points of an average face where the portrait's is, pixels."""
    path = Path(crop.__file__).with_name("average_landmarks.json")
    points = np.array(json.loads(path.read_text(encoding="utf-8"))["points"])
    return (np.array([265.0, 245.0]) + 1.35 * points[:, :2] * [1, -1]).astype(np.float32).round(2)


@pytest.fixture
def root(tmp_path, portrait) -> Path:
    """A folder with three copies of the portrait."""
    for name in PHOTOS:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(portrait, path)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "corpus"


@pytest.fixture
def searched(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the photographs in which faces were searched."""
    shapes = []

    def spy(photo):
        shapes.append(photo.shape)
        return detect_faces(photo)

    monkeypatch.setattr(examine, "detect_faces", spy)
    return shapes


def run(root: Path | list, out: Path, workers: int = 0, **options) -> Corpus:
    options = {"landmarks": "none", "limits": COPIES, **options}
    return prepare(root if isinstance(root, list) else [root], out, PrepareConfig(**options), workers)


def crops(corpus: Corpus) -> np.ndarray:
    """8-bit crops (K, H, W, 3)."""
    return np.stack([(255 * corpus[i]["image"]).round().byte().permute(1, 2, 0).numpy() for i in range(len(corpus))])


def contents(out: Path) -> dict[str, str]:
    """Hash of every shard."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("shards/*.tar"))}


def expected_crop(pixels: np.ndarray) -> np.ndarray:
    return decode_crop(encode_crop(crop_face(pixels, detect_faces(pixels)[0])[0]))


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
        _, transform = crop_face(read_photo(portrait), detect_faces(read_photo(portrait))[0])
        back = CropTransform(faces[0].left, faces[0].top, faces[0].scale).to_photo(np.array([[0.0, 0.0], [240, 240]]))
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
        assert sorted(path.name for path in (out / "shards").iterdir()) == ["000000.json", "000000.tar"]

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


class TestLandmarks:
    def test_given_points_are_mapped_into_the_crop(self, root, out, portrait):
        table = {"lfw/Grace_Hopper_0001.jpg": face_points(), "own.jpg": face_points() + 2}
        write_landmarks(root / LANDMARKS_FILE, table)
        corpus = run(root, out, landmarks="csv")
        box = detect_faces(read_photo(portrait))[0]
        # The crop's side is 1.325 of the box's, and it lies 0.148 of it below; 240 pixels.
        side = 1.325 * box.size
        corner = np.array([box.x - side / 2, box.y + 0.148 * box.size - side / 2])
        for index, points in ((0, face_points()), (2, face_points() + 2)):
            np.testing.assert_allclose(corpus[index]["landmarks"], (points - corner) * 240 / side, atol=0.006)
            assert corpus[index]["confidence"].tolist() == [1.0] * 68
        given = [face.given for face, _, _ in read_shard(out / "shards" / "000000.tar")]
        assert given == [True, False, True]

    def test_confidence_is_zero_where_nothing_is_known(self, root, out):
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        item = run(root, out, landmarks="csv")[1]
        assert item["confidence"].tolist() == [0.0] * 68
        assert item["landmarks"].abs().max() == 0

    def test_none_ignores_the_tables(self, root, out):
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        assert float(run(root, out).confidence.max()) == 0

    def test_given_points_choose_the_face(self, tmp_path, out, portrait):
        face = read_photo(portrait)[60:400, 100:440]
        both = np.full((420, 760, 3), 128, dtype=np.uint8)
        both[120:340, 20:240] = cv2.resize(face, (220, 220), interpolation=cv2.INTER_AREA)
        both[40:380, 300:640] = face
        (tmp_path / "photos").mkdir()
        Image.fromarray(both).save(tmp_path / "photos" / "both.png")
        points = (face_points() - (100, 60)) * 220 / 340 + (20, 120)  # of the smaller face
        write_landmarks(tmp_path / "photos" / LANDMARKS_FILE, {"both.png": points.astype(np.float32)})
        corpus = run(tmp_path / "photos", out, landmarks="csv")
        large, small = detect_faces(both)
        assert large.size > 1.3 * small.size
        assert np.array_equal(crops(corpus)[0], decode_crop(encode_crop(crop_face(both, small)[0])))

    def test_given_points_where_no_face_is(self, root, out):
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points() + 200})
        corpus = run(root, out, landmarks="csv")
        assert corpus.photos == PHOTOS[:2]
        assert [(f.photo, f.reason) for f in corpus.failures] == [
            ("photos/own.jpg", "no face was found where the landmarks are")
        ]

    def test_a_changed_table_counts(self, root, out, searched):
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        first = run(root, out, landmarks="csv", block=1)
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points() + 5})
        del searched[:]
        second = run(root, out, landmarks="csv", block=1)
        assert len(searched) == 1
        scale = 240 / (1.325 * detect_faces(read_photo(root / "own.jpg"))[0].size)
        moved = second.landmarks[2] - first.landmarks[2]
        np.testing.assert_allclose(moved, np.full((68, 2), 5 * scale), atol=0.011)

    def test_auto_detects_what_is_not_given(self, root, out):
        if not dlib_landmarks.is_installed():
            pytest.skip("dlib is not installed: pip install -e '.[landmarks]'")
        (root.parent / PHOTOS[1]).unlink()
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        corpus = run(root, out, landmarks="auto")
        given = [face.given for face, _, _ in read_shard(out / "shards" / "000000.tar")]
        assert given == [False, True]
        assert 0.1 < float(corpus.confidence[0].min()) < float(corpus.confidence[0].max()) <= 1
        assert corpus.confidence[1].tolist() == [1.0] * 68
        # The middle of the eyes' corners as seen in the photograph.
        pixels = read_photo(root / "own.jpg")
        _, transform = crop_face(pixels, detect_faces(pixels)[0])
        eyes = transform.to_photo(corpus.landmarks[0, 36:48].numpy()).mean(axis=0)
        assert np.hypot(*(eyes - (265, 193))) < 8
        np.testing.assert_allclose(transform.to_photo(corpus.landmarks[1].numpy()), face_points(), atol=1e-2)

    def test_auto_does_without_dlib(self, root, out, monkeypatch):
        monkeypatch.setattr(dlib_landmarks, "is_installed", lambda: False)
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        assert run(root, out, landmarks="auto").confidence[:, 0].tolist() == [0, 0, 1]

    def test_dlib_finds_the_same_face(self, root, out, portrait):
        if not dlib_landmarks.is_installed():
            pytest.skip("dlib is not installed: pip install -e '.[landmarks]'")
        haar = detect_faces(read_photo(portrait))[0]
        [box] = dlib_landmarks.detect_boxes(read_photo(portrait))
        assert box.overlap(haar) > 0.6
        assert len(run(root, out, detector="dlib")) == 3


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
