"""The scene agrees with PyTorch3D's meshes and cameras, and gradients reach every block of the code."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tiny_model import make_code

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.scene import front_facing
from mofa3d.semantic_code import SemanticCode


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(64))


def test_code_zero_is_the_mean_face_in_even_light(decode, tiny_model):
    scene = decode(SemanticCode.zeros(2, tiny_model.sizes))
    assert len(scene) == 2
    assert torch.equal(scene.vertices[1], tiny_model.mean_shape)
    torch.testing.assert_close(scene.positions[1], tiny_model.mean_shape)
    torch.testing.assert_close(scene.colors[1], 0.7 * tiny_model.mean_reflectance)
    apex = int(tiny_model.mean_shape[:, 2].argmax())
    expected = 32 + 4.53125 * 64 * tiny_model.mean_shape[apex, 0] / (1000 - tiny_model.mean_shape[apex, 2])
    torch.testing.assert_close(scene.pixels[0, apex, 0], expected)


def test_normals_and_camera_equal_pytorch3ds(decode, tiny_code):
    scene = decode(tiny_code)
    # PyTorch3D's normals are in model space; its camera turns them, with x and z in the other direction.
    turned = scene.cameras.get_world_to_view_transform().transform_normals(scene.meshes.verts_normals_padded())
    torch.testing.assert_close(scene.normals, turned * torch.tensor([-1.0, 1.0, -1.0]), atol=2e-5, rtol=0)
    screen = scene.cameras.transform_points_screen(scene.vertices)
    torch.testing.assert_close(scene.pixels, screen[..., :2], atol=5e-4, rtol=0)
    view = scene.cameras.get_world_to_view_transform().transform_points(scene.vertices)
    torch.testing.assert_close(scene.depth, view[..., 2], atol=1e-3, rtol=0)


def test_meshes_carry_the_geometry_and_the_reflectance(decode, tiny_code):
    scene = decode(tiny_code)
    assert torch.equal(scene.meshes.verts_padded(), scene.vertices)
    assert torch.equal(scene.meshes.textures.verts_features_padded(), scene.reflectance)
    assert torch.equal(scene.meshes.faces_padded()[2], scene.faces)
    assert scene.meshes is scene.meshes
    assert scene.cameras is scene.cameras


def test_colors_are_reflectance_times_irradiance(decode, tiny_code):
    scene = decode(tiny_code)
    light = harmonics.basis(scene.normals) @ tiny_code.illumination + 0.7
    torch.testing.assert_close(scene.colors, scene.reflectance * light, atol=1e-6, rtol=0)


def test_light_stays_with_the_camera_when_the_head_turns(tiny_model):
    top = torch.zeros(1, 9, 3)
    top[:, 1] = 0.5  # stronger towards +y, which is up in the picture
    upside_down = SemanticCode.zeros(1, tiny_model.sizes).replace(
        rotation=torch.tensor([[0.0, 0.0, math.pi]]), illumination=top
    )
    scene = Decoder(tiny_model)(upside_down)
    shading = (scene.colors / scene.reflectance)[0].mean(dim=-1)
    forehead, chin = int(tiny_model.mean_shape[:, 1].argmax()), int(tiny_model.mean_shape[:, 1].argmin())
    assert float(scene.pixels[0, chin, 1]) < float(scene.pixels[0, forehead, 1])
    assert float(shading[chin]) > 0.8
    assert float(shading[forehead]) < 0.6


def test_landmarks_are_the_projected_surface_points(decode, tiny_model, tiny_code):
    scene = decode(tiny_code)
    for j in (0, 30, 67):
        corners = scene.positions[1, tiny_model.faces[tiny_model.landmark_faces[j]]]
        point = (corners * tiny_model.landmark_weights[j, :, None]).sum(dim=0)
        torch.testing.assert_close(scene.landmarks[1, j], decode.camera.project(point))


def test_moving_the_face_moves_the_picture(decode, tiny_model):
    still = SemanticCode.zeros(1, tiny_model.sizes)
    # p = R^-1 (v − t): a positive t_x moves the face to the left of the picture, a positive t_z away.
    left = decode(still.replace(translation=torch.tensor([[10.0, 0.0, 0.0]])))
    away = decode(still.replace(translation=torch.tensor([[0.0, 0.0, 100.0]])))
    rest = decode(still)
    assert bool((left.landmarks[..., 0] < rest.landmarks[..., 0] - 2.8).all())
    torch.testing.assert_close(left.landmarks[..., 1], rest.landmarks[..., 1])
    assert bool((away.depth - rest.depth - 100).abs().max() < 1e-3)


def test_front_facing_looks_at_the_camera_and_not_along_the_axis():
    camera = Camera(64)
    # Just off the edge of a wide object, a normal with z > 0 can still look away from a near camera.
    positions = torch.tensor([[[0.0, 0, 0], [0, 0, 0], [300.0, 0, 0], [-300.0, 0, 0]]])
    normals = torch.nn.functional.normalize(torch.tensor([[[0.0, 0, 1], [0, 0, -1], [1, 0, 0.2], [1, 0, 0.2]]]), dim=-1)
    assert front_facing(positions, normals, camera).tolist() == [[True, False, False, True]]


def test_front_facing_equals_the_scalar_product(decode, tiny_code):
    turned = tiny_code.replace(rotation=tiny_code.rotation + torch.tensor([0.0, 0.9, 0.0]))
    scene = decode(turned)
    camera = torch.tensor([0.0, 0.0, 1000.0])
    expected = torch.einsum("bnc,bnc->bn", scene.normals, camera - scene.positions) > 0
    assert torch.equal(scene.front_facing, expected)
    assert 0 < int(expected.sum()) < expected.numel()


def test_gradient_reaches_every_block(tiny_model):
    code = make_code(2, dtype=torch.float32)
    leaves = {field.name: getattr(code, field.name).clone().requires_grad_() for field in dataclasses.fields(code)}
    scene = Decoder(tiny_model)(SemanticCode(**leaves))
    (scene.pixels.square().mean() + scene.colors.square().mean()).backward()
    for name, leaf in leaves.items():
        assert bool(leaf.grad.isfinite().all()), name
        assert float(leaf.grad.abs().max()) > 1e-6, name


def test_model_is_shared_and_codes_of_other_sizes_are_refused(decode, tiny_model):
    assert decode.model is tiny_model
    with pytest.raises(ValueError, match=r"model 'tiny' takes codes of CodeSizes\(shape=5.* got CodeSizes\(shape=80"):
        decode(SemanticCode.zeros(1))
