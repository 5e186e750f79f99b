"""Yaw is recovered from projected points of a face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.camera import Camera
from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.yaw import RIGID, estimate_yaw, yaw_of

# A rough head, millimetres: every point lies on an ellipsoid, the nose before it, mirror symmetric.
RANDOM = np.random.default_rng(0)


def make_head() -> np.ndarray:
    points = np.zeros((68, 3))
    for i, j in enumerate(MIRRORED_68):
        if i <= j:
            x = 0.0 if i == j else RANDOM.uniform(10, 65)
            y = RANDOM.uniform(-70, 60)
            z = 90 * np.sqrt(1 - (x / 80) ** 2 - (y / 110) ** 2) + (20 if 27 <= i <= 35 else 0)
            points[i], points[j] = (-x, y, z), (x, y, z)  # the lower index of a pair is on the subject's right
    return points


HEAD = make_head()


def turned(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """The head in camera space: about the vertical axis first, then nodding, then tilted in the image."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return HEAD @ (about_z @ about_x @ about_y).T


def weak_perspective(points: np.ndarray, scale: float = 1.3) -> np.ndarray:
    return scale * points[..., :2] * [1.0, -1.0] + [120.0, 90.0]


@pytest.mark.parametrize("yaw", [-80.0, -45.0, -10.0, 0.0, 3.0, 30.0, 60.0])
@pytest.mark.parametrize("scale", [0.2, 5.0])
def test_exact_under_scaled_orthography(yaw, scale):
    assert estimate_yaw(weak_perspective(turned(yaw), scale)[None], HEAD)[0] == pytest.approx(yaw, abs=1e-6)


@pytest.mark.parametrize("yaw", [-35.0, 0.0, 20.0])
@pytest.mark.parametrize("roll", [-25.0, 15.0])
def test_roll_does_not_matter(yaw, roll):
    # Turning the image turns where the face looks, too: measured without the roll, the yaw is the same.
    estimate = estimate_yaw(weak_perspective(turned(yaw, 0.0, roll))[None], HEAD)[0]
    expected = np.degrees(np.arctan2(np.sin(np.radians(yaw)) * np.cos(np.radians(roll)), np.cos(np.radians(yaw))))
    assert estimate == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("yaw", [-40.0, -15.0, 0.0, 25.0, 40.0])
@pytest.mark.parametrize("pitch", [-10.0, 10.0])
def test_a_nod_leaves_the_yaw_of_the_gaze(yaw, pitch):
    forward_x, forward_z = np.sin(np.radians(yaw)), np.cos(np.radians(yaw)) * np.cos(np.radians(pitch))
    expected = np.degrees(np.arctan2(forward_x, forward_z))
    assert estimate_yaw(weak_perspective(turned(yaw, pitch))[None], HEAD)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("yaw", [-45.0, -20.0, 0.0, 20.0, 45.0])
def test_under_the_camera_it_is_the_yaw_towards_the_line_of_sight(yaw):
    camera = Camera(240)
    rotation = torch.tensor([[0.0, -np.radians(yaw), 0.0]], dtype=torch.float64)  # v = R p: the face turns by R⁻¹
    head = torch.from_numpy(HEAD)[None]
    positions = camera.to_camera(head, rotation, torch.zeros(1, 3, dtype=torch.float64))
    torch.testing.assert_close(positions, torch.from_numpy(turned(yaw))[None])
    # A turned face lies beside the optical axis, so the camera sees it from a little further round.
    middle = positions[0, list(RIGID)].mean(dim=0)
    sight = np.degrees(np.arctan2(float(middle[0]), float(camera.depth(middle))))
    estimate = estimate_yaw(camera.project(positions).numpy(), HEAD)[0]
    assert estimate == pytest.approx(yaw + sight, abs=1.0)
    assert abs(sight) < 5


def test_positive_when_the_nose_moves_to_the_image_right():
    points = weak_perspective(turned(30.0))
    assert points[30, 0] > weak_perspective(turned(0.0))[30, 0]
    assert estimate_yaw(points[None], HEAD)[0] > 29


def test_mirroring_turns_the_sign():
    points = weak_perspective(turned(25.0))
    mirrored = points[list(MIRRORED_68)] * [-1.0, 1.0]
    assert estimate_yaw(mirrored[None], HEAD)[0] == pytest.approx(-25.0, abs=1e-6)


def test_an_opening_mouth_does_not_matter():
    points = weak_perspective(turned(20.0))
    soft = [i for i in range(68) if i not in RIGID]
    points[soft] += RANDOM.normal(0, 20, (len(soft), 2))
    assert estimate_yaw(points[None], HEAD)[0] == pytest.approx(20.0, abs=1e-6)


def test_every_face_of_a_batch_by_itself():
    yaws = [-50.0, 10.0, 35.0]
    points = np.stack([weak_perspective(turned(yaw)) for yaw in yaws])
    np.testing.assert_allclose(estimate_yaw(points, HEAD), yaws, atol=1e-6)


def test_noise_of_a_detector_costs_a_few_degrees():
    yaws = np.linspace(-40, 40, 41)
    points = np.stack([weak_perspective(turned(yaw)) for yaw in yaws])
    errors = estimate_yaw(points + RANDOM.normal(0, 2.0, points.shape), HEAD) - yaws
    assert np.abs(errors).mean() < 3
    assert abs(errors.mean()) < 1


@pytest.mark.parametrize("yaw", [-60.0, -20.0, 0.0, 20.0, 45.0])
@pytest.mark.parametrize("nod", [-0.2, 0.0])
def test_yaw_of_a_rotation_is_where_the_face_looks(yaw, nod):
    rotation = torch.tensor([[nod, -np.radians(yaw), 0.0]], dtype=torch.float64)
    forward = Camera(240).to_camera(torch.tensor([[[0.0, 0.0, 1.0]]]).double(), rotation, torch.zeros(1, 3).double())
    x, _, z = forward[0, 0].tolist()
    assert float(yaw_of(rotation)[0]) == pytest.approx(np.degrees(np.arctan2(x, z)))
    if nod == 0:
        assert float(yaw_of(rotation)[0]) == pytest.approx(yaw)
