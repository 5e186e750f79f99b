"""The programs that fit the map of landmarks and check detector and landmarks do what they print."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from programs import load

from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.face_landmarker import detect_dense_landmarks
from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmarks_478 import mirrored_mesh, to_68
from mofa3d.data.photo import read_photo

fit_landmark_map, check_detector = load("fit_landmark_map"), load("check_detector")
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def dense(portrait):
    photo = read_photo(portrait)
    return detect_dense_landmarks(photo, find_faces(photo)[0])


class TestFit:
    def meshes(self, dense, count: int = 60) -> np.ndarray:
        return np.stack([dense.points[:, :2] / 100 + 0.02 * RANDOM.normal(size=(478, 2)) for _ in range(count)])

    def test_known_weights_come_back(self, dense):
        mesh = self.meshes(dense)
        target = 0.7 * mesh[:, 33] + 0.3 * mesh[:, 246]
        row = fit_landmark_map.fit_point(mesh, target, turning=False)
        weights = dict(zip(row["mesh"], row["weights"], strict=True))
        assert weights[33] == pytest.approx(0.7, abs=0.05)
        assert weights[246] == pytest.approx(0.3, abs=0.05)
        assert sum(row["weights"]) == pytest.approx(1, abs=1e-4)

    def test_what_changes_with_the_turn_comes_back(self, dense):
        mesh = self.meshes(dense)
        mesh[:, 4, 0] += np.linspace(-0.6, 0.6, len(mesh))  # the nose says how far the head turns
        turn = fit_landmark_map.turn_of(mesh)[:, None]
        target = mesh[:, 234] + turn * (mesh[:, 137] - mesh[:, 234])
        row = fit_landmark_map.fit_point(mesh, target, turning=True)
        assert sum(row["turning"]) == pytest.approx(0, abs=1e-4)
        found = fit_landmark_map.apply([row] * 68, mesh)[:, 0]
        before, after = (np.linalg.norm(points - target, axis=1).mean() for points in (mesh[:, 234], found))
        assert after < 0.2 * before

    def test_halves_mirror_each_other(self, dense):
        mesh = self.meshes(dense, 20)
        target = mesh[:, mirrored_mesh(mesh[0])[:68]]
        rows = fit_landmark_map.fit(mesh, target)
        for number, twin in enumerate(MIRRORED_68):
            assert sorted(rows[number]["weights"]) == pytest.approx(sorted(rows[twin]["weights"]), abs=1e-5)

    def test_the_outer_corners_of_the_eyes_are_the_unit(self, dense):
        mesh, _ = fit_landmark_map.upright(dense.points, to_68(dense.points))
        np.testing.assert_allclose(mesh[[33, 263]], [[0, 0], [1, 0]], atol=1e-12)


def test_check_detector_prints_a_table(portrait, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_detector, "FACELESS", 4)
    monkeypatch.setattr(check_detector, "WIDTH_4K", 960)
    monkeypatch.setattr(check_detector, "HEIGHT_4K", 540)
    (tmp_path / "portraits").mkdir()
    photo = cv2.resize(read_photo(portrait), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "portraits" / "hopper.png"), photo[..., ::-1])
    check_detector.main(check_detector.Config(tmp_path, count=1))
    header, row, *rest = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in row.split("|")]
    assert len(cells) == len(header.split("|"))
    assert cells[:8] == ["portraits", *["100.0 %"] * 7]
    assert cells[8] == "0.0 %"
    assert rest[-1].endswith(": 0")


def test_turned_and_shrunk_pictures_keep_the_truth(portrait):
    photo = read_photo(portrait)
    truth = check_detector.Truth(np.array([267.0, 233.0]), 195.0)
    for picture, where in (
        check_detector._turned(photo, truth, 30),
        check_detector._turned(photo, truth, 180),
        check_detector._shrunk(photo, truth),
    ):
        assert where.found_by(find_faces(picture)[0])
    assert not truth.found_by(FoundFace(20.0, 20.0, 195.0, 0.0, 1.0, ()))
