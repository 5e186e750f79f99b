"""The default model is laid over other faces: by landmarks, by shape, and by nearest points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from face_files import make_face
from scipy.spatial.transform import Rotation

from mofa3d.models.alignment import similarity, warp
from mofa3d.models.nearest_surface import nearest_surface, vertex_normals
from mofa3d.models.orientation import orient
from mofa3d.models.pigments import transfer_landmarks
from mofa3d.models.placement import FEATURES_CENTRE, offset_to_model_space


def test_similarity_is_recovered():
    random = np.random.default_rng(0)
    points = random.normal(size=(20, 3))
    rotation = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    found = similarity(points, 1.1 * points @ rotation.T + [1, 2, 3])
    assert found.scale == pytest.approx(1.1)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, [1, 2, 3], atol=1e-12)
    mirrored = similarity(points, points * [-1, 1, 1])
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1)  # never a reflection
    assert similarity(points, 5 * points).scale == 1.3


def test_warp_moves_landmarks_onto_their_targets():
    face = make_face()
    source = face.vertices[face.landmarks]
    target = source + 4 * np.sin(source / 30)
    moved = warp(face.vertices, source, target)
    error = np.linalg.norm(moved[face.landmarks] - target, axis=1)
    assert error.max() < 0.5
    everywhere = np.linalg.norm(moved - face.vertices - 4 * np.sin(face.vertices / 30), axis=1)
    assert np.median(everywhere) < 1.0


def test_nearest_surface_is_that_of_trimesh():
    face = make_face()
    random = np.random.default_rng(0)
    points = face.vertices[random.choice(face.count, 100)] + random.normal(scale=3, size=(100, 3))
    found = nearest_surface(points, face.vertices, face.faces)
    mesh = trimesh.Trimesh(face.vertices, face.faces, process=False)
    closest, distances, _ = trimesh.proximity.closest_point_naive(mesh, points)
    np.testing.assert_allclose(found.distances, distances, atol=1e-9)
    np.testing.assert_allclose(found.interpolate(face.vertices, face.faces), closest, atol=1e-6)


def test_surfaces_that_look_the_same_way_are_preferred():
    square = np.array([[0, 0, 0], [9, 0, 0], [9, 9, 0], [0, 9, 0]], float)
    vertices = np.concatenate([square, square + np.array([0, 0, 3])])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]])  # the lower one looks up, the upper one down
    points, up = np.array([[4.0, 3.0, 2.0]]), np.array([[0.0, 0.0, 1.0]])
    assert nearest_surface(points, vertices, faces).faces[0] == 2
    found = nearest_surface(points, vertices, faces, up)
    assert found.faces[0] == 0
    assert found.agreement[0] == 1
    assert found.distances[0] == 2


def test_vertex_normals_of_a_ball_are_its_radii():
    ball = trimesh.creation.icosphere(subdivisions=3)
    normals = vertex_normals(np.asarray(ball.vertices), np.asarray(ball.faces))
    np.testing.assert_allclose(normals, ball.vertices, atol=0.02)


def test_landmarks_are_found_by_shape_on_other_faces(default_model):
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        code = torch.randn(1, default_model.sizes.shape, generator=generator)
        face = default_model.geometry(code, torch.zeros(1, default_model.sizes.expression))
        face = face + torch.tensor([3.0, 15.0, -20.0])
        found = transfer_landmarks(face[0].double().numpy(), default_model.faces.numpy(), default_model)
        points = (face[0][default_model.faces[found.faces]] * found.weights[..., None]).sum(dim=1)
        error = (points - default_model.landmarks(face)[0]).norm(dim=1)
        assert float(error.mean()) < 4
        assert float(error.max()) < 9


@pytest.mark.parametrize("scale", [0.001, 0.1, 10.0, 1000.0])
def test_wrong_units_are_refused_without_landmarks(default_model, scale):
    vertices = scale * default_model.mean_shape.double().numpy()
    with pytest.raises(ValueError, match=r"its mesh is .* wide; expected a face in millimetres after conversion"):
        transfer_landmarks(vertices, default_model.faces.numpy(), default_model)


@pytest.mark.parametrize("change", [[1, -1, 1], [1, 1, -1]])
def test_wrong_axes_are_refused_by_shape(default_model, change):
    vertices = np.array(change) * default_model.mean_shape.double().numpy()
    faces = orient(vertices, default_model.faces.numpy())
    with pytest.raises(ValueError, match=r"does not fit its shape \(.* mm beside it at .* size"):
        transfer_landmarks(vertices, faces, default_model)


class TestPlacement:
    def test_centre_is_the_default_models(self, default_model):
        points = default_model.landmarks(default_model.mean_shape[None])[0]
        np.testing.assert_allclose(points[27:].mean(dim=0).numpy(), FEATURES_CENTRE, atol=0.2)
        assert np.abs(offset_to_model_space(points.double().numpy())).max() < 0.2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda p: p / 10, "it is 13.3 wide between the points 0 and 16"),
            (lambda p: p * [-1, 1, 1], "its right eye is on its left"),
            (lambda p: p * [1, -1, 1], "its chin is above its brows"),
            (lambda p: p * [1, 1, -1], "its nose is behind its ears"),
            (lambda p: np.full_like(p, np.nan), "it is nan wide"),
        ],
    )
    def test_wrong_units_and_axes_are_named(self, change, message):
        face = make_face()
        points = face.vertices[face.landmarks] - face.vertices[face.landmarks].mean(axis=0)
        with pytest.raises(ValueError, match=f"the mean face does not follow the conventions of its format: {message}"):
            offset_to_model_space(change(points))
