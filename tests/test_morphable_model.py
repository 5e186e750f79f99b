"""Linear combinations, the restriction to a region, and the file format."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import make_code, make_tiny_model

from mofa3d import losses
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.models import MODEL_NAMES, load_model
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel, read_model, save_model
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import CodeSizes


def parts(model: MorphableModel) -> dict:
    """The arguments that the model was made of."""
    tensors = {name: buffer for name, buffer in model.named_buffers() if not name.startswith("landmark_")}
    return {**tensors, "landmark_barycentric": model.landmark_barycentric, "name": model.name}


def test_code_zero_is_the_mean(tiny_model):
    vertices = tiny_model.geometry(torch.zeros(2, 5), torch.zeros(2, 4))
    assert torch.equal(vertices, tiny_model.mean_shape.expand(2, -1, 3))
    assert torch.equal(tiny_model.reflectance(torch.zeros(1, 6))[0], tiny_model.mean_reflectance)


def test_coefficients_weigh_the_columns(tiny_model_double):
    model, code = tiny_model_double, make_code(2)
    vertices, reflectance = model.geometry(code.shape, code.expression), model.reflectance(code.reflectance)
    for image in range(2):
        expected = model.mean_shape.clone()
        for column in range(5):
            expected += float(code.shape[image, column]) * model.shape_basis[:, :, column]
        for column in range(4):
            expected += float(code.expression[image, column]) * model.expression_basis[:, :, column]
        torch.testing.assert_close(vertices[image], expected, atol=1e-12, rtol=0)
        expected = model.mean_reflectance.clone()
        for column in range(6):
            expected += float(code.reflectance[image, column]) * model.reflectance_basis[:, :, column]
        torch.testing.assert_close(reflectance[image], expected, atol=1e-12, rtol=0)


def test_landmarks_are_weighted_corners_in_space_and_image(tiny_model_double):
    vertices = torch.randn(2, len(tiny_model_double.mean_shape), 3, dtype=torch.float64)
    weights = torch.rand(68, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights /= weights.sum(dim=1, keepdim=True)
    arguments = parts(tiny_model_double)
    faces = arguments["landmark_barycentric"].faces
    model = MorphableModel(**{**arguments, "landmark_barycentric": LandmarkBarycentric(faces, weights)})
    points = model.landmarks(vertices)
    for j in (0, 17, 67):
        corners = vertices[1, model.faces[faces[j]]]
        expected = weights[j, 0] * corners[0] + weights[j, 1] * corners[1] + weights[j, 2] * corners[2]
        torch.testing.assert_close(points[1, j], expected, atol=1e-12, rtol=0)
    assert torch.equal(model.landmarks(vertices[..., :2]), points[..., :2])


def test_sizes_are_those_of_the_bases(tiny_model):
    assert tiny_model.sizes == CodeSizes(5, 4, 6)
    assert tiny_model.sizes.total == 48


def test_nothing_is_trained(tiny_model):
    assert list(tiny_model.parameters()) == []


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("name", ["shape_basis", "expression_basis", "mean_reflectance", "frontal", "uv"])
def test_tensors_of_another_vertex_count_are_refused(tiny_model, name):
    arguments = parts(tiny_model)
    arguments[name] = arguments[name][:-1]
    with pytest.raises(ValueError, match=f"{name} has 143 vertices, mean_shape has 144"):
        MorphableModel(**arguments)


@pytest.mark.parametrize("index", [-1, 144])
def test_faces_out_of_range_are_refused(tiny_model, index):
    arguments = parts(tiny_model)
    arguments["faces"] = arguments["faces"].clone()
    arguments["faces"][3, 1] = index
    with pytest.raises(ValueError, match="the model has 144"):
        MorphableModel(**arguments)


def test_values_at_landmarks(tiny_model):
    found = tiny_model.at_landmarks(tiny_model.mean_shape)
    torch.testing.assert_close(found, tiny_model.landmarks(tiny_model.mean_shape[None])[0])
    basis = tiny_model.at_landmarks(tiny_model.shape_basis.double())
    assert (basis.shape, basis.dtype) == ((68, 3, tiny_model.sizes.shape), torch.float64)
    moved = tiny_model.landmarks((tiny_model.mean_shape + tiny_model.shape_basis[..., 1])[None])[0]
    torch.testing.assert_close(basis[..., 1].float(), moved - found, atol=1e-4, rtol=0)


def test_fingerprint_depends_on_every_number_but_not_on_the_name(tiny_model):
    assert tiny_model.fingerprint() == make_tiny_model().fingerprint()
    renamed = MorphableModel(**{**parts(tiny_model), "name": "other"})
    assert renamed.fingerprint() == tiny_model.fingerprint()
    for name, buffer in make_tiny_model().named_buffers():
        changed = make_tiny_model()
        entry = getattr(changed, name).view(-1)
        entry[-1] = ~entry[-1] if buffer.dtype == torch.bool else entry[-1] + 1
        assert changed.fingerprint() != tiny_model.fingerprint(), name


class TestRestrict:
    def test_frontal_part_has_the_same_loss_landmarks_and_normals(self, tiny_model_double):
        whole = tiny_model_double
        part = whole.restrict(whole.frontal)
        assert len(part.mean_shape) < len(whole.mean_shape)
        assert len(part.faces) < len(whole.faces)
        code = make_code()
        image = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        scenes = [Decoder(model, Camera(64))(code) for model in (whole, part)]
        values = [losses.photometric(VertexRenderer()(scene), image) for scene in scenes]
        assert float(values[0].min()) > 0.1
        torch.testing.assert_close(values[1], values[0], atol=1e-12, rtol=0)
        torch.testing.assert_close(scenes[1].landmarks, scenes[0].landmarks, atol=1e-9, rtol=0)
        kept = scenes[1].normals[:, part.frontal]
        torch.testing.assert_close(kept, scenes[0].normals[:, whole.frontal], atol=1e-12, rtol=0)

    def test_only_kept_vertices_stay_frontal(self, tiny_model):
        keep = tiny_model.frontal & (tiny_model.mean_shape[:, 0] > 0)
        part = tiny_model.restrict(keep)
        assert int(part.frontal.sum()) == int(keep.sum())
        assert torch.equal(part.mean_shape[part.frontal], tiny_model.mean_shape[keep])
        assert torch.equal(part.uv[part.frontal], tiny_model.uv[keep])

    def test_landmark_triangles_stay_even_when_nothing_is_kept(self, tiny_model):
        part = tiny_model.restrict(torch.zeros_like(tiny_model.frontal))
        assert len(part.faces) == 68
        whole = tiny_model.landmarks(tiny_model.mean_shape[None])
        torch.testing.assert_close(part.landmarks(part.mean_shape[None]), whole)

    def test_keeping_everything_changes_nothing(self, tiny_model):
        part = tiny_model.restrict(torch.ones_like(tiny_model.frontal))
        assert part.fingerprint() == tiny_model.fingerprint()


class TestFile:
    def test_round_trip(self, tiny_model, tmp_path):
        path = tmp_path / "folder" / "model.safetensors"
        save_model(tiny_model, path)
        again = read_model(path)
        assert again.name == "tiny"
        assert again.fingerprint() == tiny_model.fingerprint()
        assert again.faces.dtype == torch.int64
        assert again.frontal.dtype == torch.bool
        assert list(path.parent.iterdir()) == [path]

    def test_without_texture_coordinates(self, tiny_model, tmp_path):
        save_model(MorphableModel(**{**parts(tiny_model), "uv": None}), tmp_path / "m")
        assert read_model(tmp_path / "m").uv is None

    def test_load_model_takes_a_path(self, tiny_model, tmp_path):
        save_model(tiny_model, tmp_path / "m")
        assert load_model("makehuman", path=tmp_path / "m").fingerprint() == tiny_model.fingerprint()

    def test_damaged_missing_and_foreign_files_are_refused(self, tiny_model, tmp_path):
        save_model(tiny_model, tmp_path / "good")
        content = (tmp_path / "good").read_bytes()
        (tmp_path / "cut").write_bytes(content[: len(content) // 2])
        (tmp_path / "noise").write_bytes(b"no model at all" * 10)
        (tmp_path / "empty").write_bytes(b"")
        save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
        save_file({"a": torch.zeros(2)}, tmp_path / "named", metadata={"mofa3d": '{"name": "x"}'})
        for name in ("cut", "noise", "empty", "foreign", "named", "missing"):
            with pytest.raises(ValueError, match=rf"{name} is not a mofa3d model file .*make it again"):
                read_model(tmp_path / name)

    def test_unknown_model_name(self):
        with pytest.raises(ValueError, match=rf"unknown face model 'bmf': choose one of {', '.join(MODEL_NAMES)}"):
            load_model("bmf")
