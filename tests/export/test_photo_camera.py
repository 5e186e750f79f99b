"""The exported camera sees the exported mesh where the overlay shows it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh
from tiny_model import make_code

from mofa3d import Camera, Decoder, harmonics
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.found_face import FoundFace
from mofa3d.export import write_camera, write_mesh
from mofa3d.export.photo_camera import photo_camera
from mofa3d.pictures import views
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over
from mofa3d.renderers import make_renderer

HEIGHT, WIDTH = 260, 300


@pytest.fixture(params=[0.0, 25.0, -90.0])
def transform(request) -> CropTransform:
    return CropTransform.around((167.7, 93.8), 212.8, request.param, 100)


@pytest.fixture
def found(tiny_model, transform) -> Reconstruction:
    code = make_code(1, dtype=torch.float32)
    scene = Decoder(tiny_model, Camera(100))(code)
    return Reconstruction(FoundFace.of_box(160.0, 90.0, 130.0, 0.9), torch.zeros(3, 100, 100), transform, code, scene)


@pytest.fixture
def projected(found, tiny_model, tmp_path) -> np.ndarray:
    """Pixels of the vertices of the PLY file, by nothing but the numbers in the JSON file."""
    write_mesh(tmp_path / "mesh.ply", tiny_model, found.scene.vertices[0], found.scene.reflectance[0])
    write_camera(tmp_path / "new" / "camera.json", photo_camera(found.scene, found.transform, HEIGHT, WIDTH))
    camera = json.loads((tmp_path / "new" / "camera.json").read_text(encoding="utf-8"))
    assert (camera["width"], camera["height"]) == (WIDTH, HEIGHT)
    assert "millimetres" in camera["convention"]
    points = trimesh.load_mesh(tmp_path / "mesh.ply", process=False).vertices
    rotation = np.array(camera["rotation"])
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1)
    x, y, z = rotation @ points.T + np.array(camera["translation"])[:, None]
    assert (z > 500).all()
    return np.stack(
        [camera["focal"] * x / z + camera["centre_x"], camera["focal"] * y / z + camera["centre_y"]], axis=1
    )


def test_vertices_lie_where_the_reconstruction_says(found, projected):
    expected = found.transform.to_photo(found.scene.pixels[0].double().numpy())
    np.testing.assert_allclose(projected, expected, atol=5e-3)
    camera = photo_camera(found.scene, found.transform, HEIGHT, WIDTH)
    np.testing.assert_allclose(camera.project(found.scene.vertices[0].double().numpy()), projected, atol=1e-3)


def test_vertices_lie_where_the_overlay_shows_them(found, projected):
    even = torch.zeros(9, 3)
    even[0] = 1 - harmonics.AMBIENT
    white = Reconstruction(found.box, found.crop, found.transform, found.code, views.recolored(found.scene, 1.0, even))
    overlay = lay_over(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8), white, make_renderer("cpu"))[..., 0]
    rows, columns = np.nonzero(overlay > 127)
    seen = np.stack([columns, rows], axis=1) + 0.5
    np.testing.assert_allclose(seen.min(axis=0), projected.min(axis=0), atol=1.5)
    np.testing.assert_allclose(seen.max(axis=0), projected.max(axis=0), atol=1.5)
    front = projected[found.scene.front_facing[0].numpy() & found.scene.frontal.numpy()]
    assert (overlay[tuple(front.astype(int).T[::-1])] > 100).all()
