"""Meshes that are written come back with the same numbers, in the units of their format."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from glb_file import Glb

from mofa3d.export import MESH_SUFFIXES, write_mesh
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures.color import to_linear

MILLIMETRES = {".glb": 1000.0, ".ply": 1.0, ".obj": 1.0}


def make_face(model: MorphableModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices of which two coincide, and a color for each that tells it from the others."""
    vertices = model.mean_shape.clone()
    vertices[7] = vertices[100]
    count = torch.arange(len(vertices))
    return vertices, torch.stack([count, 255 - count, (count * 7) % 256], dim=-1) / 255


def read(path) -> trimesh.Trimesh:
    return trimesh.load_mesh(path, process=False)


class TestMesh:
    @pytest.mark.parametrize("suffix", MESH_SUFFIXES)
    def test_vertices_and_triangles_keep_their_order(self, tiny_model, tmp_path, suffix):
        vertices, colors = make_face(tiny_model)
        write_mesh(tmp_path / f"face{suffix}", tiny_model, vertices, colors)
        mesh = read(tmp_path / f"face{suffix}")
        assert mesh.vertices.shape == (144, 3)
        np.testing.assert_allclose(mesh.vertices * MILLIMETRES[suffix], vertices, atol=1e-3)
        assert np.array_equal(mesh.faces, tiny_model.faces)

    def test_ply_is_what_trimesh_writes(self, tiny_model, tmp_path):
        vertices, colors = make_face(tiny_model)
        write_mesh(tmp_path / "face.ply", tiny_model, vertices, colors)
        rgba = np.c_[(255 * colors).round().numpy(), np.full(144, 255)].astype(np.uint8)
        mesh = trimesh.Trimesh(vertices.double(), tiny_model.faces, vertex_colors=rgba, process=False)
        expected = mesh.export(file_type="ply").replace(b"comment https://github.com/mikedh/trimesh\n", b"")
        assert (tmp_path / "face.ply").read_bytes() == expected

    @pytest.mark.parametrize("suffix", [".ply", ".obj"])
    def test_display_colors_stay_as_they_are(self, tiny_model, tmp_path, suffix):
        vertices, colors = make_face(tiny_model)
        write_mesh(tmp_path / f"face{suffix}", tiny_model, vertices, colors)
        rgba = read(tmp_path / f"face{suffix}").visual.vertex_colors
        assert np.array_equal(rgba[:, :3], (255 * colors).round())
        assert (rgba[:, 3] == 255).all()

    def test_glb_holds_linear_colors(self, tiny_model, tmp_path):
        vertices, colors = make_face(tiny_model)
        write_mesh(tmp_path / "face.glb", tiny_model, vertices, colors)
        rgba = Glb(tmp_path / "face.glb").attribute("COLOR_0")
        np.testing.assert_allclose(rgba[:, :3] / 65535, to_linear(colors.double().numpy()), atol=0.51 / 65535)
        assert (rgba[:, 3] == 65535).all()
        middle = torch.full((144, 3), 0.5)
        write_mesh(tmp_path / "grey.glb", tiny_model, vertices, middle)
        assert (Glb(tmp_path / "grey.glb").attribute("COLOR_0")[:, :3] == 14027).all()  # 0.2140411 · 65535

    @pytest.mark.parametrize("suffix", [".ply", ".obj"])
    def test_colors_are_clamped(self, tiny_model, tmp_path, suffix):
        colors = torch.tensor([-0.5, 1.0, 2.0]).expand(144, 3)
        write_mesh(tmp_path / f"face{suffix}", tiny_model, tiny_model.mean_shape, colors)
        assert (read(tmp_path / f"face{suffix}").visual.vertex_colors[:, :3] == [0, 255, 255]).all()

    def test_tensors_with_a_gradient_and_upper_case_suffixes_in_new_folders(self, tiny_model, tmp_path):
        path = tmp_path / "new" / "folder" / "FACE.PLY"
        write_mesh(path, tiny_model, tiny_model.mean_shape.clone().requires_grad_(), tiny_model.mean_reflectance)
        np.testing.assert_allclose(read(path).vertices, tiny_model.mean_shape, atol=1e-4)

    @pytest.mark.parametrize("name", ["face.stl", "face", "face.ply.gz"])
    def test_other_suffixes_are_refused(self, tiny_model, tmp_path, name):
        with pytest.raises(ValueError, match=rf"cannot write .*{name}: the suffix must be one of \.glb, \.ply, \.obj"):
            write_mesh(tmp_path / name, tiny_model, tiny_model.mean_shape, tiny_model.mean_reflectance)
        assert list(tmp_path.iterdir()) == []
