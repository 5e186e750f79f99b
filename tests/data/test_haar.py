"""Faces are found where they are, whatever the photograph's size, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mofa3d.data.crop import crop_transform
from mofa3d.data.haar import HaarBox, _group, find_boxes, find_with_haar, of_haar_box, one_each
from mofa3d.data.photo import read_photo

# Between the eyes and of the face, by eye.
MIDDLE, FACE_SIZE = (265, 220), 225


@pytest.fixture(scope="module")
def photo(portrait) -> np.ndarray:
    return read_photo(portrait)


def test_the_face_and_nothing_else(photo):
    [box] = find_boxes(photo)
    assert np.hypot(box.x - MIDDLE[0], box.y - MIDDLE[1]) < 15
    assert box.size == pytest.approx(FACE_SIZE, rel=0.1)
    assert box.votes > 16


def test_every_run_says_the_same(photo):
    threads = cv2.getNumThreads()
    first = find_boxes(photo)
    cv2.setNumThreads(1)
    try:
        assert find_boxes(photo) == first
    finally:
        cv2.setNumThreads(threads)


def test_mirror_image_gives_the_mirrored_box(photo):
    [box], [mirrored] = find_boxes(photo), find_boxes(np.ascontiguousarray(photo[:, ::-1]))
    assert mirrored.x == pytest.approx(512 - box.x, abs=1e-6)
    assert (mirrored.y, mirrored.size, mirrored.votes) == pytest.approx((box.y, box.size, box.votes), abs=1e-6)


@pytest.mark.parametrize("scale", [0.25, 0.7, 2.5])
def test_box_scales_with_the_photograph(photo, scale):
    [box] = find_boxes(photo)
    [scaled] = find_boxes(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    assert np.hypot(scaled.x / scale - box.x, scaled.y / scale - box.y) < 0.03 * box.size
    assert scaled.size / scale == pytest.approx(box.size, rel=0.06)


def test_tight_crops(photo):
    [box] = find_boxes(photo[110:345, 150:385])
    assert np.hypot(box.x + 150 - MIDDLE[0], box.y + 110 - MIDDLE[1]) < 20


def test_a_small_face_in_a_large_photograph(photo):
    wide = np.full((900, 1200, 3), 128, dtype=np.uint8)
    small = cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    wide[500 : 500 + small.shape[0], 800 : 800 + small.shape[1]] = small
    box = find_boxes(wide)[0]
    assert np.hypot(box.x - 800 - 0.4 * MIDDLE[0], box.y - 500 - 0.4 * MIDDLE[1]) < 10


def test_the_large_central_face_comes_first(photo):
    large, small = photo[60:400, 100:440], cv2.resize(photo[60:400, 100:440], (220, 220), interpolation=cv2.INTER_AREA)
    scene = np.full((420, 760, 3), 128, dtype=np.uint8)
    scene[120:340, 20:240] = small
    scene[40:380, 300:640] = large
    boxes = find_boxes(scene)
    assert len(boxes) == 2
    assert boxes[0].x == pytest.approx(300 + MIDDLE[0] - 100, abs=15)
    assert boxes[1].x == pytest.approx(20 + 220 / 340 * (MIDDLE[0] - 100), abs=10)


def test_near_and_far_faces_are_found_once_each_when_every_size_is_asked_for(photo):
    near = photo[60:400, 100:440]
    far = cv2.resize(near, (110, 110), interpolation=cv2.INTER_AREA)
    scene = np.full((500, 900, 3), 128, dtype=np.uint8)
    scene[40:380, 20:360] = near
    corners = [(420, 360), (580, 360), (740, 360)]
    for left, top in corners:
        scene[top : top + 110, left : left + 110] = far
    [nearest, *others] = find_boxes(scene, every_size=True)
    assert [nearest] == find_boxes(scene)
    assert nearest.x == pytest.approx(20 + MIDDLE[0] - 100, abs=15)
    assert len(others) == 3
    for box, (left, top) in zip(sorted(others, key=lambda box: box.x), corners, strict=True):
        middle = left + 110 / 340 * (MIDDLE[0] - 100), top + 110 / 340 * (MIDDLE[1] - 60)
        assert np.hypot(box.x - middle[0], box.y - middle[1]) < 8


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.6])
def test_one_face_is_one_face_at_every_size(photo, scale):
    scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    assert len(find_boxes(scaled, every_size=True)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (30, 30), (240, 240)])
def test_no_face(shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert find_boxes(noise) == []
    assert find_boxes(np.full((*shape, 3), 90, dtype=np.uint8)) == []


class TestOverlap:
    BOX = HaarBox(50.0, 50.0, 20.0, 1)

    def test_shared_is_of_the_smaller_box(self):
        for other, shared in (((50, 50, 10), 1.0), ((60, 50, 20), 0.5), ((60, 50, 10), 0.5), ((90, 50, 20), 0.0)):
            box = HaarBox(*map(float, other), 1)
            assert self.BOX.shared(box) == box.shared(self.BOX) == pytest.approx(shared)

    @pytest.mark.parametrize(
        ("other", "overlap"),
        [
            ((50, 50, 20), 1.0),
            ((60, 50, 20), 1 / 3),
            ((60, 60, 20), 1 / 7),
            ((50, 50, 10), 1 / 4),
            ((55, 50, 10), 1 / 4),
            ((70, 50, 20), 0.0),
            ((90, 90, 20), 0.0),
        ],
    )
    def test_intersection_over_union(self, other, overlap):
        box = HaarBox(*map(float, other), 1)
        assert self.BOX.overlap(box) == pytest.approx(overlap)
        assert box.overlap(self.BOX) == pytest.approx(overlap)


class TestOneEach:
    FACE = HaarBox(100.0, 100.0, 80.0, 60)

    @pytest.mark.parametrize(
        "again",
        [
            HaarBox(100.0, 130.0, 24.0, 9),  # its mouth
            HaarBox(104.0, 98.0, 150.0, 12),  # the whole head
            HaarBox(130.0, 110.0, 70.0, 12),  # half of it, at another scale
            HaarBox(80.0, 135.0, 30.0, 12),  # an ear, partly outside
        ],
    )
    def test_what_lies_mostly_on_a_better_find_is_left_out(self, again):
        assert one_each([again, self.FACE]) == [self.FACE]
        assert one_each([self.FACE, again]) == [self.FACE]

    def test_the_one_with_more_votes_stays_whichever_is_larger(self):
        inner = HaarBox(100.0, 100.0, 40.0, 90)
        assert one_each([self.FACE, inner]) == [inner]

    def test_neighbours_stay(self):
        cheek_to_cheek = HaarBox(162.0, 105.0, 80.0, 40)
        below = HaarBox(100.0, 160.0, 50.0, 20)
        assert one_each([below, self.FACE, cheek_to_cheek]) == [self.FACE, cheek_to_cheek, below]

    def test_two_in_one_large_find_are_two(self):
        left, right = HaarBox(50.0, 50.0, 30.0, 40), HaarBox(90.0, 50.0, 30.0, 40)
        assert one_each([HaarBox(70.0, 50.0, 100.0, 9), left, right]) == [left, right]

    def test_none(self):
        assert one_each([]) == []


class TestGroup:
    def test_average_of_those_that_agree(self):
        boxes = np.array([[10, 10, 8], [11, 10, 8], [10, 12, 8.5], [80, 80, 8], [81, 80, 8.0]])
        assert _group(boxes, votes=2) == [pytest.approx((31 / 3, 32 / 3, 24.5 / 3, 3)), pytest.approx((80.5, 80, 8, 2))]

    def test_too_few_votes(self):
        boxes = np.array([[10, 10, 8], [11, 10, 8], [80, 80, 8.0]])
        assert _group(boxes, votes=3) == []
        assert len(_group(boxes, votes=2)) == 1

    def test_none(self):
        assert _group(np.empty((0, 3)), votes=1) == []


def test_crops_are_those_that_were_calibrated_on_the_cascade_s_boxes():
    # The crop's side is 1.2455 of the box's, and it lies 0.1509 of it below.
    transform = crop_transform(of_haar_box(200.0, 150.0, 80.0, 0.5), 240)
    assert transform.scale == pytest.approx(240 / (1.301 / 1.04453 * 80))
    below = (0.063 + 0.09459) * 80 / 1.04453
    np.testing.assert_allclose(transform.to_photo(np.array([120.0, 120.0])), [200, 150 + below], atol=1e-9)
    assert transform.roll == 0


def test_faces_come_in_the_order_of_the_boxes(photo):
    [face] = find_with_haar(photo)
    [box] = find_boxes(photo)
    assert face == of_haar_box(box.x, box.y, box.size, box.votes / (box.votes + 12))
    assert 0.5 < face.score < 1
