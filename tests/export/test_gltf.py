"""Binary glTF says what its specification wants: units, axes, winding, color spaces, morph targets and movements."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import trimesh
from glb_file import Glb, validate
from PIL import Image
from tiny_model import make_code

from mofa3d import Camera, Decoder
from mofa3d.export import (
    MorphTargets,
    Texture,
    bake,
    expression_targets,
    find_texels,
    movement,
    resting,
    write_glb,
)
from mofa3d.export.texture_layout import texture_layout
from mofa3d.kernels.normals import VertexNormals
from mofa3d.pictures.color import to_linear
from mofa3d.renderers.cpu_rasterizer import rasterize

STEP = 1000 / 32767  # mm: of displacements in 16 bits


@pytest.fixture
def texture(tiny_model):
    """The reflectance of the model without its map, whose charts share vertices."""
    tiny_model.register_buffer("uv", None)
    layout = texture_layout(tiny_model)
    return Texture(layout, bake(find_texels(layout, 256, rasterize), tiny_model.mean_reflectance))


@pytest.fixture
def write(tiny_model, tmp_path):
    def write(appearance=None, **options) -> Glb:
        appearance = tiny_model.mean_reflectance if appearance is None else appearance
        write_glb(tmp_path / "new" / "face.glb", tiny_model.mean_shape, tiny_model.faces, appearance, **options)
        return Glb(tmp_path / "new" / "face.glb")

    write.path = tmp_path / "new" / "face.glb"
    return write


class TestGeometry:
    def test_metres_axes_and_winding_as_trimesh_reads_them(self, tiny_model, write):
        write()
        mesh = trimesh.load_mesh(write.path, process=False)
        np.testing.assert_allclose(mesh.vertices * 1000, tiny_model.mean_shape, atol=1e-3)
        assert 0.1 < mesh.extents[1] < 0.3
        assert mesh.vertices[:, 2].argmax() == tiny_model.mean_shape[:, 2].argmax()  # the face looks along +Z
        assert np.array_equal(mesh.faces, tiny_model.faces)
        # Computed from the winding; the model is half an ellipsoid about the origin.
        assert ((mesh.face_normals * mesh.triangles_center).sum(axis=1) > 0).all()

    def test_normals_are_unit_and_the_models(self, tiny_model, texture, write):
        expected = VertexNormals(tiny_model.faces, 144)(tiny_model.mean_shape[None])[0]
        np.testing.assert_allclose(write().attribute("NORMAL"), expected, atol=1e-6)
        # Those of the model, not of the layout, where each chart would have a border.
        np.testing.assert_allclose(write(texture).attribute("NORMAL"), expected[texture.layout.source], atol=1e-6)


class TestAppearance:
    def test_colors_are_linear_and_clamped(self, write):
        colors = torch.tensor([[-0.5, 0.25, 2.0]], requires_grad=True).expand(144, 3)
        rgba = write(colors).attribute("COLOR_0") / 65535
        expected = [0, float(to_linear(np.array(0.25))), 1, 1]
        np.testing.assert_allclose(rgba, np.tile(expected, (144, 1)), atol=1e-5)

    def test_material_is_a_rough_dielectric_that_light_falls_on(self, texture, write):
        for appearance in (None, texture):
            tree = write(appearance).tree
            [material] = tree["materials"]
            assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
            assert 0.4 <= material["pbrMetallicRoughness"]["roughnessFactor"] <= 1
            assert "extensionsUsed" not in tree
            assert tree["asset"]["generator"] == "mofa3d"

    def test_texture_is_an_srgb_picture_that_trimesh_puts_on_the_vertices(self, tiny_model, texture, write):
        file = write(texture)
        [image] = file.tree["images"]
        assert image["mimeType"] == "image/png"
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(file.view(image["bufferView"])))), texture.image)
        assert "COLOR_0" not in file.primitive["attributes"]  # it would multiply the texture
        mesh = trimesh.load_mesh(write.path, process=False)
        source = texture.layout.source
        np.testing.assert_allclose(mesh.vertices * 1000, tiny_model.mean_shape[source], atol=1e-3)
        assert np.array_equal(source[mesh.faces], tiny_model.faces)
        colors = mesh.visual.material.to_color(mesh.visual.uv)[:, :3] / 255
        np.testing.assert_allclose(colors, tiny_model.mean_reflectance[source], atol=0.03)


class TestMorphTargets:
    def test_displacements_of_positions_and_normals(self, tiny_model, texture, write):
        normals = VertexNormals(tiny_model.faces, 144)
        bent = tiny_model.mean_shape + tiny_model.expression_basis.permute(2, 0, 1)[:3]
        turned = normals(bent) - normals(tiny_model.mean_shape[None])
        for appearance, source in ((None, torch.arange(144)), (texture, texture.layout.source)):
            file = write(appearance, targets=expression_targets(tiny_model, 3))
            assert len(file.primitive["targets"]) == 3
            for k, target in enumerate(file.primitive["targets"]):
                basis = tiny_model.expression_basis[source, :, k]
                still = 0.02 * float(basis.norm(dim=1).max())
                np.testing.assert_allclose(file.real(target["POSITION"]) * 1000, basis, atol=max(still, STEP / 2))
                np.testing.assert_allclose(file.real(target["NORMAL"]), turned[k, source], atol=0.03)

    def test_names_and_weights(self, tiny_model, write):
        file = write(targets=expression_targets(tiny_model, 2))
        assert file.mesh["extras"]["targetNames"] == ["expression_01", "expression_02"]
        assert file.mesh["weights"] == [0, 0]
        file = write(targets=MorphTargets(("smile",), torch.ones(1, 144, 3)))
        assert file.mesh["extras"]["targetNames"] == ["smile"]

    def test_only_what_moves_takes_room(self, tiny_model, write):
        moved = torch.zeros(3, 144, 3)
        moved[0, 7] = torch.tensor([0.0, -5.0, 1.0])
        moved[0, 8] = 0.05  # mm
        moved[1, :, 2] = 2.0
        file = write(targets=MorphTargets(("one", "all", "none"), moved))
        places = [file.tree["accessors"][target["POSITION"]] for target in file.primitive["targets"]]
        assert [place["sparse"]["count"] for place in places] == [1, 144, 1]
        np.testing.assert_allclose(file.displacements()[0, 7], [0, -5e-3, 1e-3], atol=STEP / 2e3)
        assert np.count_nonzero(file.displacements()[0]) == 2
        assert (places[0]["min"], places[0]["max"]) == ([0, -164, 0], [0, 0, 33])  # of 32767 a metre
        assert places[1]["min"][2] == places[1]["max"][2] == 66
        assert not file.displacements()[2].any()
        assert file.tree["extensionsRequired"] == ["KHR_mesh_quantization"]
        assert validate(write.path)["issues"]["messages"] == []

    def test_no_targets(self, tiny_model, write):
        for targets in (None, expression_targets(tiny_model, 0)):
            file = write(targets=targets)
            assert "weights" not in file.mesh
            assert "targets" not in file.primitive


class TestMovement:
    def test_a_viewer_sees_the_decoders_faces_in_camera_space(self, tiny_model, tmp_path):
        codes = make_code(5, dtype=torch.float32)
        codes = codes.replace(shape=codes.shape[:1].expand(5, -1))
        vertices = tiny_model.geometry(codes.shape[:1], resting(codes[:1], 4).expression)[0]
        options = {
            "targets": expression_targets(tiny_model, 4),
            "movement": movement(codes, codes.expression, torch.arange(5) / 25),
        }
        write_glb(tmp_path / "face.glb", vertices, tiny_model.faces, tiny_model.mean_reflectance, **options)
        file = Glb(tmp_path / "face.glb")
        [animation] = file.tree["animations"]
        found = {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            np.testing.assert_allclose(file.array(sampler["input"]).ravel(), [0, 0.04, 0.08, 0.12, 0.16], atol=1e-7)
            assert channel["target"]["node"] == 0
            found[channel["target"]["path"]] = file.array(sampler["output"])
        deltas = file.displacements()
        expected = Decoder(tiny_model, Camera())(codes).positions
        for frame, weights in enumerate(found["weights"].reshape(5, 4)):
            points = file.attribute("POSITION") + np.einsum("k,knc->nc", weights, deltas)
            x, y, z, w = found["rotation"][frame]
            rotation = trimesh.transformations.quaternion_matrix([w, x, y, z])[:3, :3]
            seen = points @ rotation.T + found["translation"][frame]
            left = np.linalg.norm(1000 * seen - expected[frame].numpy(), axis=1)
            assert left.max() < 0.1 * np.abs(weights).sum()
            assert left.mean() < 0.1

    def test_numbers_of_weights_must_agree(self, tiny_model, write):
        moved = movement(make_code(2, dtype=torch.float32), torch.zeros(2, 2), torch.arange(2) / 25)
        with pytest.raises(ValueError, match="the animation has 2 weights for 3 morph targets"):
            write(targets=expression_targets(tiny_model, 3), movement=moved)
        with pytest.raises(ValueError, match="2 weights for 0 morph targets"):
            write(movement=moved)


@pytest.mark.parametrize("moving", [False, True], ids=["still", "moving"])
@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("textured", [False, True], ids=["colors", "textured"])
def test_khronos_validator(tiny_model, texture, write, textured, count, moving):
    moved = movement(make_code(3, dtype=torch.float32), torch.rand(3, count), torch.arange(3) / 25) if moving else None
    write(texture if textured else None, targets=expression_targets(tiny_model, count), movement=moved)
    report = validate(write.path)
    assert report["issues"]["messages"] == []
    assert report["info"]["hasMorphTargets"] == (count > 0)
    assert report["info"]["animationCount"] == int(moving)
    assert report["info"]["hasTextures"] == textured


def test_khronos_validator_on_the_default_model(default_model, tmp_path):
    targets = expression_targets(default_model, 2)
    vertices = default_model.mean_shape
    write_glb(tmp_path / "face.glb", vertices, default_model.faces, default_model.mean_reflectance, targets)
    report = validate(tmp_path / "face.glb")
    assert report["issues"]["messages"] == []
    assert report["info"]["totalTriangleCount"] == len(default_model.faces)
