from __future__ import annotations

import pytest
import torch
from tiny_model import make_code

from mofa3d import Camera, Decoder, losses
from mofa3d.camera import FACE_FRACTION
from mofa3d.renderers import make_renderer
from mofa3d.renderers.vertex import vertex_areas
from mofa3d.scene import Rendering


@pytest.fixture
def scene(tiny_model_double):
    return Decoder(tiny_model_double, Camera(64))(make_code(2, dtype=torch.float64))


def test_weights_are_those_of_equation_8(scene):
    rendering = make_renderer("vertex")(scene)
    counted = scene.front_facing & scene.frontal
    assert 0 < counted.sum() < counted.numel()
    assert torch.equal(rendering.weights, counted / scene.frontal.sum())
    assert torch.equal(rendering.positions, scene.pixels)
    assert torch.equal(rendering.colors, scene.colors)
    assert rendering.image is None


def test_areas_equal_a_loop_over_triangles(scene):
    expected = torch.zeros_like(scene.pixels[..., 0])
    for image, points in enumerate(scene.pixels):
        for face in scene.faces.tolist():
            (ax, ay), (bx, by), (cx, cy) = points[face].tolist()
            area = ((cx - ax) * (by - ay) - (bx - ax) * (cy - ay)) / 2
            if area > 0:  # turned to the camera
                expected[image, face] += area / 3
    torch.testing.assert_close(vertex_areas(scene.pixels, scene.faces), expected)
    assert (expected > 0).double().mean() > 0.5


def test_areas_of_a_square():
    pixels = torch.tensor([[[0.0, 2.0], [3.0, 2.0], [3.0, 0.0], [0.0, 0.0]]])  # counter-clockwise seen, y down
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    torch.testing.assert_close(vertex_areas(pixels, faces), torch.tensor([[2.0, 1.0, 2.0, 1.0]]))
    assert (vertex_areas(pixels, faces.flip(1)) == 0).all()


def test_area_weights_sum_to_the_covered_part_of_the_image(scene):
    weights = make_renderer("vertex", area_weights=True)(scene).weights
    counted = scene.front_facing & scene.frontal
    expected = (vertex_areas(scene.pixels, scene.faces) * counted).sum(dim=1) / (FACE_FRACTION * 64**2)
    torch.testing.assert_close(weights.sum(dim=1), expected)
    assert (weights[~counted] == 0).all()


def test_background_cost_rewards_covering_the_image(tiny_model_double):
    """With errors of 0.1 everywhere, moving away costs at a background cost of 0.3 and pays at 0."""
    render = make_renderer("vertex", area_weights=True)
    gradients = []
    for cost in (0.3, 0.0):
        code = make_code(1, dtype=torch.float64)
        translation = code.translation.clone().requires_grad_()
        scene = Decoder(tiny_model_double, Camera(64))(code.replace(translation=translation))
        rendering = render(scene)
        constant = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64)
        colors = torch.full_like(rendering.colors, 0.5 + 0.1 / 3**0.5)
        flat = Rendering(rendering.positions, colors, rendering.weights)
        losses.photometric(flat, constant, cost).sum().backward()
        gradients.append(float(translation.grad[0, 2]))
    assert gradients[1] < 0 < gradients[0]  # a larger t_z moves the face away from the camera


def test_gradient_of_areas(scene):
    pixels = scene.pixels[:, :60].clone().requires_grad_()
    faces = scene.faces[(scene.faces < 60).all(dim=1)]
    assert torch.autograd.gradcheck(lambda p: vertex_areas(p, faces), pixels)
