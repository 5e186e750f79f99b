"""Dense landmarks lie on the features, whatever the roll, and expressions carry ARKit's names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from mofa3d.data import face_landmarker as module
from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.face_landmarker import (
    EXPRESSION_NAMES,
    EXPRESSION_POINTS,
    detect_dense_landmarks,
    expression_of,
    read_region,
    region_around,
)
from mofa3d.data.find_faces import find_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmarks_478 import eye_opening, landmark_map, to_68, turn_of
from mofa3d.data.photo import read_photo

# Points of the portrait by eye: iris on the left, the other one, tip of the nose, corners of the mouth.
FEATURES = {468: (227, 192), 473: (309, 192), 4: (266, 238), 61: (231, 277), 291: (303, 275)}


@pytest.fixture(scope="module")
def photo(portrait) -> np.ndarray:
    return read_photo(portrait)


@pytest.fixture(scope="module")
def dense(photo):
    return detect_dense_landmarks(photo, find_faces(photo)[0])


def test_points_lie_on_the_features(dense):
    for number, place in FEATURES.items():
        assert np.hypot(*(dense.points[number, :2] - place)) < 9
    assert dense.presence > 0.99
    assert dense.points[4, 2] < dense.points[234, 2] - 40  # the nose is nearer to the viewer than an ear


@pytest.mark.parametrize("degrees", [30.0, 90.0, 160.0, -75.0])
def test_turned_photographs_give_turned_points(photo, dense, degrees):
    transform = CropTransform.around((256.0, 300.0), 800.0, degrees, 800)
    turned = resample(photo, transform, 800)
    points = detect_dense_landmarks(turned, find_faces(turned)[0]).points
    distance = np.linalg.norm(points[:, :2] - transform.to_crop(dense.points[:, :2]), axis=1)
    assert distance.mean() < 4
    assert np.ptp(points[:, 2]) == pytest.approx(np.ptp(dense.points[:, 2]), rel=0.15)


def test_no_face(photo):
    flag = FoundFace(40.0, 80.0, 70.0, 0.0, 0.5, ())
    found = detect_dense_landmarks(photo, flag)
    assert found.presence < 0.1
    assert type(found.presence) is float


def test_expressions_are_asked_for_once(photo, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "expression_of", lambda points: asked.append(1) or expression_of(points))
    detect_dense_landmarks(photo, find_faces(photo)[0])
    assert len(asked) == 1


def test_looking_around_the_points_again_changes_little(photo, dense):
    again = read_region(photo, region_around(dense.points))
    assert np.linalg.norm(again.points[:, :2] - dense.points[:, :2], axis=1).mean() < 3


def test_every_thread_says_the_same(photo, dense):
    face = find_faces(photo)[0]
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: detect_dense_landmarks(photo, face), range(6)):
            assert np.array_equal(found.points, dense.points)
            assert np.array_equal(found.expression, dense.expression)


class TestExpression:
    def test_scores_have_names(self, dense):
        assert len(EXPRESSION_POINTS) == len(set(EXPRESSION_POINTS)) == 146
        assert len(EXPRESSION_NAMES) == len(set(EXPRESSION_NAMES)) == 52
        assert dense.expression.shape == (52,)
        assert ((dense.expression >= 0) & (dense.expression <= 1)).all()

    def test_scale_and_place_do_not_count(self, dense):
        points = dense.points[:, :2].astype(np.float64)
        np.testing.assert_allclose(expression_of(3 * points + 100), expression_of(points), atol=5e-3)

    def test_a_mouth_that_is_pulled_open_and_eyes_that_are_shut(self, dense):
        points = dense.points[:, :2].astype(np.float64)
        scores = dict(zip(EXPRESSION_NAMES, expression_of(points), strict=True))
        middle, width = points[[61, 291]].mean(axis=0), np.linalg.norm(points[291] - points[61])
        opened = points.copy()
        # Lower lip and chin fall, as when the jaw opens.
        inner = np.linalg.norm(points - middle, axis=1) < 2.2 * width
        low = inner & (points[:, 1] > middle[1] + 0.02 * width)
        opened[low, 1] += 0.5 * width
        assert dict(zip(EXPRESSION_NAMES, expression_of(opened), strict=True))["jawOpen"] > scores["jawOpen"] + 0.2
        shut = points.copy()
        for upper, lower in ((160, 144), (159, 145), (158, 153), (161, 163), (157, 154)):
            shut[upper] = shut[lower] - [0, 0.5]
        blink = dict(zip(EXPRESSION_NAMES, expression_of(shut), strict=True))
        assert blink["eyeBlinkRight"] > scores["eyeBlinkRight"] + 0.2
        assert blink["eyeBlinkRight"] > blink["eyeBlinkLeft"] + 0.2


class TestTo68:
    def test_well_known_points_come_out_near_the_mesh_s(self, dense):
        points, size = to_68(dense.points), np.linalg.norm(dense.points[263, :2] - dense.points[33, :2])
        for number, vertex in {36: 33, 39: 133, 42: 362, 45: 263, 30: 4, 48: 61, 54: 291, 8: 152}.items():
            assert np.hypot(*(points[number] - dense.points[vertex, :2])) < 0.1 * size, number

    def test_the_map_commutes_with_similarities(self, dense):
        transform = CropTransform(3.0, -20.0, 2.5, 40.0)
        points = dense.points[:, :2].astype(np.float64)
        np.testing.assert_allclose(to_68(transform.to_crop(points)), transform.to_crop(to_68(points)), atol=0.02)

    def test_weights(self):
        fixed, turning = landmark_map()
        np.testing.assert_allclose(fixed.sum(axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(turning.sum(axis=1), 0, atol=1e-4)
        assert not turning[17:].any()
        assert np.abs(turning[:17]).sum(axis=1).min() > 0

    def test_the_halves_of_the_face_mirror_each_other(self, photo, dense):
        mirrored = np.ascontiguousarray(photo[:, ::-1])
        other = to_68(detect_dense_landmarks(mirrored, find_faces(mirrored)[0]).points)
        back = other[list(MIRRORED_68)] * [-1, 1] + [photo.shape[1], 0]
        assert np.linalg.norm(back - to_68(dense.points), axis=1).mean() < 3


class TestEyes:
    def test_opening_is_a_share_of_the_width(self):
        points = np.zeros((478, 3))
        points[[33, 133], 0] = 0, 10
        points[[263, 362], 0] = 50, 40
        points[[160, 159, 158, 387, 386, 385], 1] = -1, -2, -3, 0, 0, 0
        np.testing.assert_allclose(eye_opening(points), [0.2, 0.0])

    def test_open_in_the_portrait(self, dense):
        assert (eye_opening(dense.points) > 0.15).all()

    def test_turn(self, dense):
        assert abs(turn_of(dense.points)) < 0.3
        squeezed = dense.points.copy()
        squeezed[4, :2] = squeezed[454, :2]
        assert turn_of(squeezed) == pytest.approx(1, abs=0.02)


def test_small_photographs(photo):
    small = cv2.resize(photo, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA)
    points = detect_dense_landmarks(small, find_faces(small)[0]).points
    for number, place in FEATURES.items():
        assert np.hypot(*(points[number, :2] / 0.15 - place)) < 20
