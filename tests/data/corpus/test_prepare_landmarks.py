"""Landmarks of prepared faces: given ones, detected ones, and none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from landmark_tables import write_landmarks
from PIL import Image
from prepared_corpus import PHOTOS, crops, face_points, first_crop, run

from mofa3d.data import dlib_landmarks
from mofa3d.data.corpus import examine
from mofa3d.data.corpus.shards import decode_crop, encode_crop, read_shard
from mofa3d.data.crop import crop_face
from mofa3d.data.detect import detect_faces
from mofa3d.data.doubts import Doubt
from mofa3d.data.landmark_table import LANDMARKS_FILE
from mofa3d.data.landmarks_478 import to_68
from mofa3d.data.locate import LocatedFace, locate
from mofa3d.data.photo import read_photo


class TestLandmarks:
    def test_given_points_are_mapped_into_the_crop(self, root, out, portrait):
        table = {"lfw/Grace_Hopper_0001.jpg": face_points(), "own.jpg": face_points() + 2}
        write_landmarks(root / LANDMARKS_FILE, table)
        corpus = run(root, out, landmarks="csv")
        _, transform = first_crop(read_photo(portrait))
        for index, points in ((0, face_points()), (2, face_points() + 2)):
            np.testing.assert_allclose(corpus[index]["landmarks"], transform.to_crop(points), atol=0.006)
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
        large, small = detect_faces(both, every=True)
        assert large.size > 1.3 * small.size
        expected, _ = crop_face(both, locate(both, small).face)
        assert np.array_equal(crops(corpus)[0], decode_crop(encode_crop(expected)))

    def test_given_points_settle_doubts(self, root, out, monkeypatch):
        monkeypatch.setattr(
            examine, "locate", lambda photo, face, steady=True: LocatedFace(face, None, Doubt("looks odd", True))
        )
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        corpus = run(root, out, landmarks="csv")
        assert corpus.photos == [PHOTOS[2]]
        assert [failure.reason for failure in corpus.failures] == ["what was found looks odd"] * 2

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
        _, transform = first_crop(read_photo(root / "own.jpg"))
        moved = transform.to_crop(np.array([5.0, 5.0])) - transform.to_crop(np.zeros(2))
        np.testing.assert_allclose(second.landmarks[2] - first.landmarks[2], np.tile(moved, (68, 1)), atol=0.011)

    def test_auto_detects_what_is_not_given(self, root, out):
        (root.parent / PHOTOS[1]).unlink()
        write_landmarks(root / LANDMARKS_FILE, {"own.jpg": face_points()})
        corpus = run(root, out, landmarks="auto")
        given = [face.given for face, _, _ in read_shard(out / "shards" / "000000.tar")]
        assert given == [False, True]
        pixels = read_photo(root / "own.jpg")
        dense = locate(pixels, detect_faces(pixels)[0]).dense
        assert corpus.confidence[0].tolist() == pytest.approx([dense.presence] * 68, abs=1e-3)
        assert corpus.confidence[1].tolist() == [1.0] * 68
        # The middle of the eyes' corners as seen in the photograph.
        _, transform = first_crop(pixels)
        np.testing.assert_allclose(corpus.landmarks[0], transform.to_crop(to_68(dense.points)), atol=0.006)
        eyes = transform.to_photo(corpus.landmarks[0, 36:48].numpy()).mean(axis=0)
        assert np.hypot(*(eyes - (265, 193))) < 8
        np.testing.assert_allclose(transform.to_photo(corpus.landmarks[1].numpy()), face_points(), atol=1e-2)

    def test_dense_points_and_scores_are_kept(self, root, out):
        corpus = run(root, out)
        pixels = read_photo(root / "own.jpg")
        _, transform = first_crop(pixels)
        dense = locate(pixels, detect_faces(pixels)[0]).dense
        face = corpus.face(2)
        assert face.key == PHOTOS[2]
        np.testing.assert_allclose(np.array(face.dense)[:, :2], transform.to_crop(dense.points[:, :2]), atol=0.051)
        np.testing.assert_allclose(np.array(face.dense)[:, 2], dense.points[:, 2] * transform.scale, atol=0.051)
        np.testing.assert_allclose(face.expression, dense.expression, atol=6e-4)

    @pytest.mark.parametrize("detector", ["haar", "dlib"])
    def test_other_detectors_find_the_same_face(self, root, out, portrait, detector):
        if detector == "dlib" and not dlib_landmarks.is_installed():
            pytest.skip("dlib is not installed: pip install -e '.[landmarks]'")
        pixels = read_photo(portrait)
        [face] = detect_faces(pixels, detector=detector)
        assert face.overlap(detect_faces(pixels)[0]) > 0.6
        corpus = run(root, out, detector=detector)
        expected = decode_crop(encode_crop(crop_face(pixels, face)[0]))
        assert all(np.array_equal(crop, expected) for crop in crops(corpus))

    def test_turned_photographs_give_upright_crops(self, root, out):
        upright = read_photo(root / "own.jpg")
        Image.fromarray(np.rot90(upright)).save(root / "turned.png")
        corpus = run(root, out)
        shown = crops(corpus)
        assert corpus.face(3).roll == pytest.approx(corpus.face(2).roll - 90, abs=2)
        assert np.abs(shown[3].astype(int) - shown[2])[40:-40, 40:-40].mean() < 5
