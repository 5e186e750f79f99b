"""Meshes and codes that are written come back with the same numbers, in the units of their format."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
import trimesh

from conftest import make_code
from mofa3d.export import MESH_SUFFIXES, to_linear, write_code, write_mesh
from mofa3d.morphable_model import MorphableModel
from mofa3d.semantic_code import SemanticCode

MILLIMETRES = {".glb": 1000.0, ".ply": 1.0, ".obj": 1.0}


def make_face(model: MorphableModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices of which two coincide, and a colour for each that tells it from the others."""
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

    @pytest.mark.parametrize("suffix", [".ply", ".obj"])
    def test_display_colours_stay_as_they_are(self, tiny_model, tmp_path, suffix):
        vertices, colors = make_face(tiny_model)
        write_mesh(tmp_path / f"face{suffix}", tiny_model, vertices, colors)
        rgba = read(tmp_path / f"face{suffix}").visual.vertex_colors
        assert np.array_equal(rgba[:, :3], (255 * colors).round())
        assert (rgba[:, 3] == 255).all()

    def test_glb_holds_linear_colours(self, tiny_model, tmp_path):
        vertices, colors = make_face(tiny_model)
        write_mesh(tmp_path / "face.glb", tiny_model, vertices, colors)
        rgba = read(tmp_path / "face.glb").visual.vertex_colors
        assert np.abs(rgba[:, :3] - 255 * to_linear(colors.double().numpy())).max() <= 0.501
        assert (rgba[:, 3] == 255).all()
        middle = torch.full((144, 3), 0.5)
        write_mesh(tmp_path / "grey.glb", tiny_model, vertices, middle)
        assert (read(tmp_path / "grey.glb").visual.vertex_colors[:, :3] == 55).all()  # 0.2140 · 255

    def test_glb_holds_normals_that_point_outwards(self, tiny_model, tmp_path):
        write_mesh(tmp_path / "face.glb", tiny_model, tiny_model.mean_shape, tiny_model.mean_reflectance)
        content = (tmp_path / "face.glb").read_bytes()
        magic, version, length = struct.unpack("<4sII", content[:12])
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size = struct.unpack("<I", content[12:16])[0]
        header = json.loads(content[20 : 20 + size])
        attributes = header["meshes"][0]["primitives"][0]["attributes"]
        assert {"POSITION", "NORMAL", "COLOR_0"} <= attributes.keys()
        normal = header["accessors"][attributes["NORMAL"]]
        view = header["bufferViews"][normal["bufferView"]]
        start = 20 + size + 8 + view.get("byteOffset", 0) + normal.get("byteOffset", 0)
        normals = np.frombuffer(content, np.float32, 3 * normal["count"], start).reshape(-1, 3)
        assert normals.shape == (144, 3)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        assert ((normals * tiny_model.mean_shape.numpy()).sum(axis=1) > 0).all()  # the model is half an ellipsoid

    @pytest.mark.parametrize("suffix", MESH_SUFFIXES)
    def test_colours_are_clamped(self, tiny_model, tmp_path, suffix):
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


def test_to_linear_at_known_values():
    display = np.array([0.0, 0.04045, 0.5, 188 / 255, 1.0])
    expected = [0.0, 0.0031308, 0.2140411, 0.5028865, 1.0]
    np.testing.assert_allclose(to_linear(display), expected, atol=1e-6)
    # The two branches meet.
    assert to_linear(np.array(0.040449)) == pytest.approx(float(to_linear(np.array(0.040451))), abs=1e-6)


class TestCode:
    def test_round_trip(self, tmp_path, tiny_code):
        write_code(tmp_path / "new" / "code.json", tiny_code[1:2], {"photo": "ü.jpg", "crop": {"scale": 2.0}})
        content = json.loads((tmp_path / "new" / "code.json").read_text(encoding="utf-8"))
        assert (content.pop("photo"), content.pop("crop")) == ("ü.jpg", {"scale": 2.0})
        again = SemanticCode(**{name: torch.tensor([value]) for name, value in content.items()})
        assert torch.equal(again.to_vector(), tiny_code[1:2].to_vector())

    def test_blocks_have_their_shapes(self, tmp_path):
        write_code(tmp_path / "code.json", make_code(1, dtype=torch.float32))
        content = json.loads((tmp_path / "code.json").read_text())
        shapes = {name: np.shape(value) for name, value in content.items()}
        assert shapes == {
            "shape": (5,),
            "expression": (4,),
            "reflectance": (6,),
            "rotation": (3,),
            "translation": (3,),
            "illumination": (9, 3),
        }
