"""The reflectance that the package ships belongs to the default model's mesh."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d.models.makehuman.learned import save_reflectance, with_learned_reflectance
from mofa3d.morphable_model import MorphableModel


@pytest.fixture
def file(tmp_path):
    model = make_tiny_model()
    path = tmp_path / "reflectance.safetensors"
    save_reflectance(model.with_reflectance(model.mean_reflectance * 0.5, model.reflectance_basis[..., :2] * 2), path)
    return path


def test_comes_back_in_half_precision(file):
    model = make_tiny_model()
    found = with_learned_reflectance(model, file)
    torch.testing.assert_close(found.mean_reflectance, model.mean_reflectance * 0.5, atol=3e-4, rtol=1e-3)
    torch.testing.assert_close(found.reflectance_basis, model.reflectance_basis[..., :2] * 2, atol=3e-4, rtol=1e-3)
    assert found.mean_reflectance.dtype == torch.float32
    assert torch.equal(found.mean_shape, model.mean_shape)
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # no temporary file stays


def test_further_vertices_keep_their_mean(file):
    model = make_tiny_model()
    corner = model.mean_shape[:3]
    longer = MorphableModel(
        mean_shape=torch.cat([model.mean_shape, corner]),
        shape_basis=torch.cat([model.shape_basis, model.shape_basis[:3]]),
        expression_basis=torch.cat([model.expression_basis, model.expression_basis[:3]]),
        mean_reflectance=torch.cat([model.mean_reflectance, torch.full((3, 3), 0.25)]),
        reflectance_basis=torch.cat([model.reflectance_basis, model.reflectance_basis[:3]]),
        faces=torch.cat([model.faces, torch.tensor([[0, 1, 2]]) + len(model.mean_shape)]),
        landmark_barycentric=model.landmark_barycentric,
        frontal=torch.cat([model.frontal, torch.zeros(3, dtype=torch.bool)]),
    )
    found, plain = with_learned_reflectance(longer, file), with_learned_reflectance(model, file)
    assert torch.equal(found.mean_reflectance[:-3], plain.mean_reflectance)
    assert (found.mean_reflectance[-3:] == 0.25).all()
    assert torch.equal(found.reflectance_basis[:-3], plain.reflectance_basis)
    assert (found.reflectance_basis[-3:] == 0).all()


def test_another_mesh_is_refused(file):
    with pytest.raises(ValueError, match=r"learned on another mesh than this one of 196 vertices.*pigment"):
        with_learned_reflectance(make_tiny_model(14), file)


@pytest.mark.parametrize("content", [b"", b"noise", None])
def test_damaged_or_missing_file_is_named(file, content):
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"reflectance.safetensors contains no valid reflectance"):
        with_learned_reflectance(make_tiny_model(), file)
