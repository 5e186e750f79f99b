"""A textured OBJ loads with its texture where people load it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from pytorch3d.io import load_objs_as_meshes

from mofa3d.export import Texture, bake, find_texels, write_textured_obj
from mofa3d.export.obj import rows
from mofa3d.export.texture_layout import texture_layout
from mofa3d.renderers.cpu_rasterizer import rasterize

SIZE = 256


@pytest.fixture
def texture(tiny_model):
    """The reflectance of the model without its map, whose charts share vertices."""
    tiny_model.register_buffer("uv", None)
    layout = texture_layout(tiny_model)
    return Texture(layout, bake(find_texels(layout, SIZE, rasterize), tiny_model.mean_reflectance))


@pytest.fixture
def path(tiny_model, texture, tmp_path):
    path = tmp_path / "new" / "face.obj"
    write_textured_obj(path, tiny_model.mean_shape.clone().requires_grad_(), texture)
    return path


def test_rows_are_what_numpy_writes():
    numbers = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 10.0 ** np.arange(-20, 30)[:, None]
    corners = np.arange(60).reshape(10, 3, 2)
    for line, values in (("v %.7g %.7g %.7g", numbers), ("f %d/%d %d/%d %d/%d", corners.reshape(10, 6))):
        text = io.BytesIO()
        np.savetxt(text, values, fmt=line)
        assert rows(f"{line}\n", values) == text.getvalue()
    assert rows("f %d/%d %d/%d %d/%d\n", corners) == text.getvalue()
    assert rows("v %d\n", corners[:0]) == b""


def test_files(path, texture):
    assert {other.name for other in path.parent.iterdir()} == {"face.obj", "face.mtl", "face_texture.png"}
    assert "map_Kd face_texture.png" in path.with_suffix(".mtl").read_text()
    assert np.array_equal(np.asarray(Image.open(path.with_name("face_texture.png"))), texture.image)


def test_pytorch3d_reads_vertices_triangles_and_colors(path, tiny_model, texture):
    meshes = load_objs_as_meshes([path])
    torch.testing.assert_close(meshes.verts_packed(), tiny_model.mean_shape, atol=1e-4, rtol=0)
    assert torch.equal(meshes.faces_packed(), tiny_model.faces)
    # At the middle of each triangle, as its renderers sample it.
    middle = torch.full((1, 1, len(tiny_model.faces), 1, 3), 1 / 3)
    index = torch.arange(len(tiny_model.faces)).view(1, 1, -1, 1)
    fragments = type("Fragments", (), {"pix_to_face": index, "bary_coords": middle})
    colors = meshes.textures.sample_textures(fragments)[0, 0, :, 0]
    expected = tiny_model.mean_reflectance[tiny_model.faces].mean(dim=1)
    torch.testing.assert_close(colors, expected, atol=0.02, rtol=0)


def test_trimesh_reads_triangles_and_colors(path, tiny_model):
    mesh = trimesh.load_mesh(path, process=False)
    assert mesh.visual.kind == "texture"
    np.testing.assert_allclose(mesh.triangles, tiny_model.mean_shape[tiny_model.faces], atol=1e-4)
    colors = mesh.visual.material.to_color(mesh.visual.uv)[mesh.faces][..., :3] / 255
    np.testing.assert_allclose(colors, tiny_model.mean_reflectance[tiny_model.faces], atol=0.03)


def test_names_that_cannot_be(tiny_model, texture, tmp_path):
    with pytest.raises(ValueError, match=r"the suffix must be \.obj"):
        write_textured_obj(tmp_path / "face.ply", tiny_model.mean_shape, texture)
    with pytest.raises(ValueError, match="could not be found by a name with spaces"):
        write_textured_obj(tmp_path / "my face.obj", tiny_model.mean_shape, texture)
    assert list(tmp_path.iterdir()) == []
