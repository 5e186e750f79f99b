"""Projection and pose against numbers worked out by hand, SciPy's rotations and PyTorch3D's cameras."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from mofa3d.camera import Camera


def test_origin_lies_in_the_middle_and_the_default_focal_length_scales_with_the_image():
    assert Camera().focal == 1087.5
    assert Camera(image_size=480).focal == 2175.0
    for size in (64, 240):
        assert Camera(size).project(torch.zeros(1, 3)).tolist() == [[size / 2, size / 2]]


def test_projection_by_hand():
    points = torch.tensor([[10.0, 20.0, 0.0], [-10.0, 0.0, 500.0]], dtype=torch.float64)
    pixels = Camera().project(points)
    # 1087.5 · 10 / 1000 right and 1087.5 · 20 / 1000 up, then 1087.5 · 10 / 500 left.
    assert torch.equal(pixels, torch.tensor([[130.875, 98.25], [98.25, 120.0]], dtype=torch.float64))
    assert Camera().depth(points).tolist() == [1000.0, 500.0]


def test_focal_length_and_rest_distance_can_be_chosen():
    camera = Camera(image_size=100, focal=50.0, rest_distance=10.0)
    assert camera.project(torch.tensor([[2.0, 0.0, 5.0]])).tolist() == [[70.0, 50.0]]


def test_translation_is_subtracted_before_the_inverse_rotation():
    vertex = torch.tensor([[[3.0, 0.0, 0.0]]], dtype=torch.float64)
    quarter_about_y = torch.tensor([[0.0, math.pi / 2, 0.0]], dtype=torch.float64)
    shift = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    position = Camera().to_camera(vertex, quarter_about_y, shift)
    # R turns z into x, so its inverse turns the remaining (2, 0, 0) into (0, 0, 2).
    torch.testing.assert_close(position, torch.tensor([[[0.0, 0.0, 2.0]]], dtype=torch.float64), atol=1e-12, rtol=0)


def test_pose_equals_scipy():
    generator = torch.Generator().manual_seed(1)
    vertices = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64) * 80
    rotation = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    translation = torch.randn(4, 3, generator=generator, dtype=torch.float64) * 20
    positions = Camera().to_camera(vertices, rotation, translation)
    for i in range(4):
        expected = Rotation.from_rotvec(rotation[i].numpy()).inv().apply((vertices[i] - translation[i]).numpy())
        torch.testing.assert_close(positions[i], torch.from_numpy(expected), atol=1e-9, rtol=0)


def test_pytorch3d_cameras_see_the_same():
    generator = torch.Generator().manual_seed(2)
    camera = Camera(image_size=120)
    vertices = torch.randn(3, 9, 3, generator=generator) * 70
    rotation, translation = torch.randn(3, 3, generator=generator), torch.randn(3, 3, generator=generator) * 20
    positions = camera.to_camera(vertices, rotation, translation)
    cameras = camera.pytorch3d(rotation, translation)
    screen = cameras.transform_points_screen(vertices)
    torch.testing.assert_close(screen[..., :2], camera.project(positions), atol=2e-3, rtol=0)
    view = cameras.get_world_to_view_transform().transform_points(vertices)
    torch.testing.assert_close(view[..., 2], camera.depth(positions), atol=1e-3, rtol=0)
    torch.testing.assert_close(view[..., :2], positions[..., :2] * torch.tensor([-1.0, 1.0]), atol=1e-3, rtol=0)


def test_gradient_at_the_rest_pose_is_the_cross_product():
    vertex = torch.tensor([[[10.0, 20.0, 30.0]]], dtype=torch.float64)
    rotation = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(
        lambda turn: Camera().to_camera(vertex, turn, torch.zeros_like(turn)), rotation
    )
    # R^-1 v ≈ v − r × v for small r.
    x, y, z = 10.0, 20.0, 30.0
    expected = -torch.tensor([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(jacobian[0, 0, :, 0], expected, atol=1e-9, rtol=0)


def test_an_image_has_at_least_one_pixel():
    with pytest.raises(ValueError, match="image_size must be at least 1 pixel, got 0"):
        Camera(image_size=0)


def test_projection_jacobian_is_autograds():
    points = 200 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.stack([torch.autograd.functional.jacobian(Camera().project, point) for point in points])
    torch.testing.assert_close(Camera().projection_jacobian(points), expected)
