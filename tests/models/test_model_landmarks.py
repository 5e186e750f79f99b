"""Landmarks from a picture of the mean face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from face_files import make_reference

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data import dlib_landmarks
from mofa3d.data.detect import detect_faces
from mofa3d.models.landmarks import back_project, fit_landmarks, with_landmarks
from mofa3d.renderers import make_renderer


def points_of(model, landmarks) -> torch.Tensor:
    corners = model.mean_shape[model.faces[landmarks.faces]]
    return (corners * landmarks.weights[..., None]).sum(dim=1)


def test_projected_points_come_back():
    model, camera = make_reference(), Camera(300)
    points = model.landmarks(model.mean_shape[None])[0].double()
    found = back_project(model, camera.project(points).numpy(), camera)
    assert float((points_of(model, found) - points).norm(dim=1).max()) < 0.02
    torch.testing.assert_close(found.weights.sum(dim=1), torch.ones(68))


def test_points_beside_the_face_go_to_its_border():
    model, camera = make_reference(), Camera(300)
    pixels = camera.project(model.landmarks(model.mean_shape[None])[0].double()).numpy()
    pixels[0] = [1.0, 150.0]
    found = back_project(model, pixels, camera)
    border = points_of(model, found)[0]
    assert float(border[0]) == pytest.approx(float(model.mean_shape[:, 0].min()), abs=2)
    assert float(found.weights[0].max()) == 1


def test_the_foremost_surface_is_taken():
    model, camera = make_reference(), Camera(300)
    points = model.landmarks(model.mean_shape[None])[0].double()
    behind = with_landmarks(model, model.landmark_barycentric)
    count = len(model.mean_shape)
    wall = torch.tensor([[-200.0, -200, -50], [200, -200, -50], [0, 300, -50]])
    behind.mean_shape = torch.cat([wall, model.mean_shape])
    behind.faces = torch.cat([torch.tensor([[0, 1, 2]]), model.faces + 3])
    found = back_project(behind, camera.project(points).numpy(), camera)
    assert int(found.faces.min()) > 0
    assert float((points_of(behind, found) - points).norm(dim=1).max()) < 0.02
    assert len(model.mean_shape) == count


def test_fitting_draws_detects_and_projects_back():
    model = make_reference()
    asked = []

    def draw(drawn, camera, illumination):
        asked.append((drawn, camera.image_size, tuple(illumination[[0, 1, 2, 3], 1].tolist())))
        return np.zeros((camera.image_size, camera.image_size, 3), np.uint8)

    def detect(picture):
        if len(asked) == 2:
            return None
        points = model.landmarks(model.mean_shape[None])[0]
        # One of the three answers is wrong, which the median ignores.
        return Camera(len(picture)).project(points).numpy() + 50 * (len(asked) == 3)

    found = fit_landmarks(model, draw, detect)
    assert [(drawn, size) for drawn, size, _ in asked] == 4 * [(model, 400)]
    assert len({light for _, _, light in asked}) == 4
    again = with_landmarks(model, found)
    error = again.landmarks(again.mean_shape[None]) - model.landmarks(model.mean_shape[None])
    assert float(error.abs().max()) < 0.02
    assert again.name == model.name
    torch.testing.assert_close(again.reflectance_basis, model.reflectance_basis)
    with pytest.raises(ValueError, match="no face was detected in renderings of the mean face of 'reference'"):
        fit_landmarks(model, draw, lambda picture: None)


@pytest.mark.skipif(not dlib_landmarks.is_installed(), reason="dlib is not installed: pip install mofa3d[landmarks]")
def test_default_models_landmarks_are_found_by_dlib(default_model):
    def draw(model, camera, illumination):
        code = replace(SemanticCode.zeros(1, model.sizes), illumination=illumination[None])
        image = make_renderer("cpu")(Decoder(model, camera)(code)).image[0]
        colors = image[:3] * image[3:] + 0.5 * (1 - image[3:])
        return (255 * colors.clamp(0, 1)).byte().permute(1, 2, 0).numpy()

    def detect(picture):
        faces = detect_faces(picture)
        return dlib_landmarks.detect_landmarks(picture, faces[0]).points if faces else None

    found = fit_landmarks(default_model, draw, detect)
    error = (points_of(default_model, found) - points_of(default_model, default_model.landmark_barycentric)).norm(dim=1)
    assert float(error[17:].mean()) < 4
    assert float(error[17:].max()) < 12


def test_a_gap_is_not_looked_through():
    """A point between open lips goes to the lips, not to the back of the head."""
    model, camera = make_reference(), Camera(300)
    pixels = camera.project(model.landmarks(model.mean_shape[None])[0].double())
    open_mouth = with_landmarks(model, model.landmark_barycentric)
    lip = model.landmarks(model.mean_shape[None])[0, 66]
    centres = model.mean_shape[model.faces].mean(dim=1)
    wall = torch.tensor([[-200.0, -200, -50], [200, -200, -50], [0, 300, -50]])
    open_mouth.mean_shape = torch.cat([model.mean_shape, wall])
    count = len(model.mean_shape)
    kept = model.faces[(centres - lip).norm(dim=1).argsort()[6:]]
    open_mouth.faces = torch.cat([kept, torch.tensor([[count, count + 1, count + 2]])])
    found = back_project(open_mouth, pixels.numpy(), camera)
    assert float((points_of(open_mouth, found)[66] - lip).norm()) < 15
