"""Faces are found at any size, any roll, and once each; and where there is none, none is."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from mofa3d.data import find_faces as module
from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.find_faces import find_faces
from mofa3d.data.photo import read_photo

# Eyes, tip of the nose and corners of the mouth of the portrait, by eye.
FIVE = np.array([[227, 192], [309, 192], [266, 236], [233, 276], [301, 276]])
MIDDLE, SIZE = (267, 233), 195


@pytest.fixture(scope="module")
def photo(portrait) -> np.ndarray:
    return read_photo(portrait)


def turned(photo: np.ndarray, degrees: float) -> tuple[np.ndarray, CropTransform]:
    """The photograph turned counterclockwise, on a canvas that holds it."""
    side = int(np.hypot(*photo.shape[:2]))
    transform = CropTransform.around((photo.shape[1] / 2, photo.shape[0] / 2), side, degrees, side)
    return resample(photo, transform, side), transform


def test_the_face_and_nothing_else(photo):
    [face] = find_faces(photo)
    assert np.hypot(face.x - MIDDLE[0], face.y - MIDDLE[1]) < 12
    assert face.size == pytest.approx(SIZE, rel=0.1)
    assert abs(face.roll) < 5
    assert face.score > 0.85
    assert np.linalg.norm(face.five - FIVE, axis=1).max() < 14


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_any_roll(photo, degrees):
    picture, transform = turned(photo, degrees)
    face = find_faces(picture)[0]
    assert np.linalg.norm(face.five - transform.to_crop(FIVE.astype(np.float64)), axis=1).max() < 22
    assert abs((face.roll + degrees + 180) % 360 - 180) < 8


@pytest.mark.parametrize("scale", [0.13, 0.25, 0.7, 2.5])
def test_any_size(photo, scale):
    scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    [face] = find_faces(scaled)
    assert np.hypot(face.x / scale - MIDDLE[0], face.y / scale - MIDDLE[1]) < 15
    assert face.size / scale == pytest.approx(SIZE, rel=0.12)


def test_a_face_that_fills_the_photograph(photo):
    [face] = find_faces(photo[130:320, 172:362])
    assert np.hypot(face.x + 172 - MIDDLE[0], face.y + 130 - MIDDLE[1]) < 15


def test_a_face_of_24_pixels_in_a_large_picture(photo):
    wide = np.full((1500, 2600, 3), 128, dtype=np.uint8)
    scale = 24 / SIZE
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    wide[900 : 900 + small.shape[0], 1970 : 1970 + small.shape[1]] = small
    [face] = find_faces(wide)
    assert np.hypot(face.x - 1970 - scale * MIDDLE[0], face.y - 900 - scale * MIDDLE[1]) < 4


def test_covered_nose_and_mouth(photo):
    covered = photo.copy()
    covered[215:330, 190:345] = 128
    [face] = find_faces(covered)
    assert np.hypot(face.x - MIDDLE[0], face.y - MIDDLE[1]) < 25


def test_the_large_face_comes_first_and_each_once(photo):
    scene = np.full((480, 860, 3), 128, dtype=np.uint8)
    scene[40:440, 300:640] = photo[30:430, 100:440]
    small = cv2.resize(photo[60:400, 100:440], (180, 180), interpolation=cv2.INTER_AREA)
    scene[200:380, 60:240] = np.rot90(small)
    first, second = find_faces(scene, every=True)
    assert first.x == pytest.approx(300 + MIDDLE[0] - 100, abs=15)
    assert second.x == pytest.approx(60 + 180 / 340 * (MIDDLE[1] - 60), abs=10)
    assert second.roll == pytest.approx(-90, abs=8)


def test_small_faces_behind_a_large_one_are_found_when_every_face_is_wanted(photo):
    scene = np.full((1000, 1600, 3), 128, dtype=np.uint8)
    scene[100:700, 100:612] = photo
    small = cv2.resize(photo, None, fx=0.12, fy=0.12, interpolation=cv2.INTER_AREA)
    scene[300 : 300 + small.shape[0], 1200 : 1200 + small.shape[1]] = small
    assert len(find_faces(scene, every=True)) == 2


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (30, 30), (240, 240)])
def test_no_face(shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert find_faces(noise) == []
    assert find_faces(np.full((*shape, 3), 90, dtype=np.uint8)) == []


def test_every_run_and_every_thread_says_the_same(photo):
    first = find_faces(photo)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        assert find_faces(photo) == first
    finally:
        cv2.setNumThreads(threads)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find_faces, [photo] * 8)) == [first] * 8


@pytest.mark.parametrize("length", [1, 640, 641, 720, 1184, 1185, 1280, 4001])
def test_tiles_cover_a_picture_and_overlap(length):
    parts = module._parts(length)
    assert parts[0][0] == 0
    assert sum(parts[-1]) == length
    assert max(part for _, part in parts) <= module.TILE
    for (start, part), (after, _) in itertools.pairwise(parts):
        assert module.MARGIN <= start + part - after < module.MARGIN + len(parts)
    searched = sum(part for _, part in parts)
    assert searched <= length + len(parts) * (module.MARGIN + 1)  # and no more than that is seen twice


@pytest.mark.parametrize("left", [540, 600, 660])
def test_a_face_on_the_edge_of_a_tile(photo, left):
    scene = np.full((700, 1100, 3), 128, dtype=np.uint8)
    small = cv2.resize(photo, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    scene[300 : 300 + small.shape[0], left : left + small.shape[1]] = small
    middle = (left + 0.3 * MIDDLE[0], 300 + 0.3 * MIDDLE[1])
    assert min(np.hypot(*(place.centre - middle)) for place in module._places(scene, 1.0, 0)) < 4


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_places_in_a_turned_picture_are_the_photographs(photo, quarters):
    turned_before = np.ascontiguousarray(np.rot90(photo, -quarters))  # upright again once it is searched
    [place] = [place for place in module._places(turned_before, 1.0, quarters) if place.size > 100]
    right, down = np.array(MIDDLE) - (256, 300)
    moved = {0: (right, down), 1: (-down, right), 2: (-right, -down), 3: (down, -right)}[quarters]
    height, width = turned_before.shape[:2]
    assert np.hypot(*(place.centre - (width / 2, height / 2) - moved)) < 20
    assert place.roll == 90.0 * quarters
