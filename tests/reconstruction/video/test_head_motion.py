"""A face's path through a video gives back the codes and crops that it came from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from tiny_model import make_code

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.decoder import Decoder
from mofa3d.harmonics import rolled
from mofa3d.reconstruction.video.head_motion import FacePath, path_of

CAMERA = Camera(240)


@pytest.fixture
def codes():
    return make_code(6)


@pytest.fixture
def transforms():
    generator = np.random.default_rng(0)
    rolls = [0.0, -20.0, 95.0, 170.0, -175.0, 30.0]
    scales = generator.uniform(0.4, 1.8, 6).tolist()
    return [
        CropTransform(*generator.normal(100, 60, 2), scale, roll) for scale, roll in zip(scales, rolls, strict=True)
    ]


def landmarks(model, codes, transforms) -> np.ndarray:
    points = Decoder(model, CAMERA)(codes).landmarks.numpy()
    return np.stack([transform.to_photo(each) for transform, each in zip(transforms, points, strict=True)])


def straightened(path: FacePath, codes):
    return path.codes(CAMERA, codes.shape[0], codes.reflectance[0])


def test_landmarks_stay_in_place(tiny_model_double, codes, transforms):
    same = codes.replace(shape=codes.shape[:1].expand(6, -1), reflectance=codes.reflectance[:1].expand(6, -1))
    path = path_of(same, transforms, CAMERA)
    before = landmarks(tiny_model_double, same, transforms)
    after = landmarks(tiny_model_double, straightened(path, same), path.transforms(CAMERA))
    assert np.abs(before - after).max() < 0.3  # translations are of 8 mm
    assert torch.equal(straightened(path, same).expression, codes.expression)
    torch.testing.assert_close(straightened(path, same).illumination, codes.illumination)


def test_a_lamp_keeps_its_place_in_the_frame_while_the_crop_rolls(codes, transforms):
    lamp = codes.illumination[:1].expand(6, 9, 3)
    rolls = torch.tensor([transform.roll for transform in transforms], dtype=torch.float64)
    path = path_of(codes.replace(illumination=rolled(lamp, -rolls)), transforms, CAMERA)
    np.testing.assert_allclose(path.illumination, lamp, atol=1e-12)
    straight = straightened(path, codes)
    torch.testing.assert_close(straight.illumination, rolled(lamp, -rolls))
    upright = path.in_one_camera(straight, CAMERA, np.array([160.0, 120.0]))
    torch.testing.assert_close(upright.illumination, lamp)


def test_camera_looks_at_the_origin(tiny_model_double, codes, transforms):
    path = path_of(codes, transforms, CAMERA)
    straight = straightened(path, codes)
    place = CAMERA.to_camera(torch.zeros(6, 1, 3).double(), straight.rotation, straight.translation)
    assert place[:, 0, :2].abs().max() < 1e-9
    np.testing.assert_allclose(CAMERA.depth(place)[:, 0], path.distance)
    for crop, origin in zip(path.transforms(CAMERA), path.origin, strict=True):
        np.testing.assert_allclose(crop.to_crop(origin), 120)


def test_path_of_a_path_is_the_same(codes, transforms):
    path = path_of(codes, transforms, CAMERA)
    again = path_of(straightened(path, codes), path.transforms(CAMERA), CAMERA)
    for name in ("origin", "distance", "scale", "roll", "turn"):
        np.testing.assert_allclose(getattr(again, name), getattr(path, name), atol=1e-9)


def test_path_does_not_depend_on_the_crop(codes):
    """The same face, seen in a crop that is shifted by 5 px, as another translation and a slightly other rotation."""
    still = codes[:1].replace(rotation=torch.zeros(1, 3).double(), translation=torch.zeros(1, 3).double())
    one = path_of(still, [CropTransform(30.0, 40.0, 0.8)], CAMERA)
    depth = CAMERA.rest_distance
    moved = torch.tensor([[-5 * depth / CAMERA.focal, 0.0, 0.0]]).double()
    other = path_of(still.replace(translation=-moved), [CropTransform(30.0 + 5 / 0.8, 40.0, 0.8)], CAMERA)
    np.testing.assert_allclose(other.origin, one.origin)
    np.testing.assert_allclose(other.distance, one.distance)
    angle = np.degrees(np.arccos((np.trace(other.turn[0].T @ one.turn[0]) - 1) / 2))
    assert angle == pytest.approx(np.degrees(5 / CAMERA.focal), rel=1e-3)


def test_one_camera_sees_the_origin_at_its_pixel_and_size(codes, transforms):
    path = path_of(codes, transforms, CAMERA)
    straight = straightened(path, codes)
    moving = path.in_one_camera(straight, CAMERA, np.array([160.0, 120.0]))
    focal = CAMERA.focal / np.median(path.scale)
    place = CAMERA.to_camera(torch.zeros(6, 1, 3).double(), moving.rotation, moving.translation)[:, 0].numpy()
    depth = CAMERA.rest_distance - place[:, 2]
    np.testing.assert_allclose(160 + focal * place[:, 0] / depth, path.origin[:, 0])
    np.testing.assert_allclose(120 - focal * place[:, 1] / depth, path.origin[:, 1])
    np.testing.assert_allclose(focal / depth, CAMERA.focal / path.distance / path.scale)
    # What was upright in its crop is turned as the crop was in the frame: clockwise, where y points up.
    for code, turned, roll in zip(straight.rotation, moving.rotation, path.roll, strict=True):
        upright, seen = (Rotation.from_rotvec(each.numpy()).inv() for each in (code, turned))
        turned_by = seen * upright.inv()
        expected = [math.sin(math.radians(roll)), math.cos(math.radians(roll)), 0]
        np.testing.assert_allclose(turned_by.apply([0, 1, 0]), expected, atol=1e-9)
