"""Every triangle of a layout has its share of the texture to itself, whatever the model's own map does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d.errors import InputError
from mofa3d.export.texture_charts import _components, _jacobian, lay_out
from mofa3d.export.texture_layout import SHIPPED, TextureLayout, read_layout, texture_layout, write_layout
from mofa3d.export.texture_packing import pack
from mofa3d.morphable_model import MorphableModel
from mofa3d.renderers.cpu_rasterizer import rasterize


def with_map(model: MorphableModel, uv: torch.Tensor | None) -> MorphableModel:
    model.register_buffer("uv", uv)
    return model


def stretches(model: MorphableModel, layout: TextureLayout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least, greatest and signed area's stretch of each triangle."""
    surface = model.mean_shape.double().numpy()[model.faces.numpy()]
    return _jacobian(surface, layout.uv.double().numpy()[layout.faces.numpy()])


def overlap(layout: TextureLayout, size: int = 1024) -> float:
    """Share of the covered texels where the last triangle is another one than the first."""
    count = len(layout.faces)
    corners = layout.uv[layout.faces].reshape(1, -1, 2) * size
    order = torch.arange(count).repeat_interleave(3)[None] / count
    alone = torch.arange(3 * count).view(-1, 3)
    first, last = (rasterize(corners, depth, alone, size).pix_to_face for depth in (1 + order, 2 - order))
    return float((first != last).float().sum() / (first >= 0).float().sum())


def charts(layout: TextureLayout) -> int:
    return int(_components(layout.faces.numpy()).max()) + 1


def assert_sound(model: MorphableModel, layout: TextureLayout) -> None:
    assert torch.equal(layout.source[layout.faces], model.faces)
    assert float(layout.uv.min()) > 0.003
    assert float(layout.uv.max()) < 0.997
    _, greatest, area = stretches(model, layout)
    assert (area > 0).all()
    assert greatest.max() < 8 * np.median(greatest)
    assert overlap(layout) < 1e-3


class TestOwnMap:
    def test_a_sound_map_keeps_its_shape(self, tiny_model):
        layout = texture_layout(tiny_model)
        assert torch.equal(layout.source, torch.arange(144))
        assert_sound(tiny_model, layout)
        # A similarity without rotation.
        scale = (layout.uv[143] - layout.uv[0]) / (tiny_model.uv[143] - tiny_model.uv[0])
        assert float(scale[0]) == pytest.approx(float(scale[1]), rel=1e-4)
        moved = (tiny_model.uv - tiny_model.uv[0]) * scale + layout.uv[0]
        torch.testing.assert_close(layout.uv, moved, atol=1e-5, rtol=0)

    def test_triangles_across_a_seam_get_a_place_of_their_own(self):
        model = make_tiny_model(30)
        uv = model.uv.clone()
        uv[:, 0] = (uv[:, 0] + 0.49) % 1.0  # as if cut open in the middle: one column of triangles spans the whole map
        layout = texture_layout(with_map(model, uv))
        assert charts(layout) >= 3
        assert len(layout.source) > len(uv)
        assert_sound(model, layout)

    def test_parts_that_lie_upon_each_other_are_taken_apart(self):
        model = make_tiny_model(30)
        angle, radius = 7.5 * model.uv[:, 0], 0.4 + 0.3 * model.uv[:, 1]  # a ring whose ends overlap
        uv = 0.5 + torch.stack([radius * angle.cos(), -radius * angle.sin()], dim=1) / 2
        layout = texture_layout(with_map(model, uv))
        assert torch.equal(layout.source[layout.faces], model.faces)
        assert overlap(layout) < 1e-3
        assert charts(layout) > 1

    def test_turned_and_mirrored_maps_come_out_upright(self, tiny_model):
        expected = texture_layout(tiny_model).uv
        u, v = tiny_model.uv.unbind(1)
        for other in ((1 - v, u), (1 - u, 1 - v), (v, 1 - u), (1 - u, v)):
            layout = texture_layout(with_map(tiny_model, torch.stack(other, dim=1)))
            torch.testing.assert_close(layout.uv, expected, atol=1e-5, rtol=0)

    def test_default_model(self, default_model):
        layout = texture_layout(default_model)
        assert torch.equal(layout.source[layout.faces], default_model.faces)
        _, greatest, area = stretches(default_model, layout)
        assert (area > 0).all()
        assert overlap(layout) < 5e-4  # a few texels inside the mouth, whose own map folds
        component = _components(layout.faces.numpy())
        on_face = component[default_model.landmark_faces[:60].numpy()]  # all but the inner lips, where the mouth begins
        assert (on_face == np.bincount(component).argmax()).all()  # the face is in one piece
        face = component == on_face[0]
        assert face.mean() > 0.75
        assert greatest.max() < 10 * np.median(greatest)  # of teeth
        front = default_model.frontal.numpy()[default_model.faces.numpy()].all(axis=1)
        assert greatest[face & front].max() < 4 * np.median(greatest[face & front])
        # The front has nearly half of the texture, four texels per millimetre at 1024, and +Y is up.
        a, b, c = (layout.uv[layout.faces[torch.from_numpy(front)]][:, corner] for corner in range(3))
        covered = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs().sum() / 2
        assert float(covered) > 0.45
        assert np.median(np.sqrt(area[face & front])) * 1024 > 4
        assert np.quantile(np.sqrt(area[face & ~front]), 0.05) * 1024 > 0.2
        points = default_model.landmarks(default_model.mean_shape[None])[0]
        corners = layout.uv[layout.faces[default_model.landmark_faces]].mean(dim=1)
        assert float(corners[27, 1]) > float(corners[8, 1])
        assert float(points[27, 1]) > float(points[8, 1])
        assert float(corners[36, 0]) < float(corners[45, 0])


def test_a_model_without_map(tiny_model):
    layout = texture_layout(with_map(tiny_model, None))
    assert_sound(tiny_model, layout)
    least, greatest, _ = stretches(tiny_model, layout)
    # A projection along the axis that a triangle faces most shrinks it by at most √3.
    assert least.min() > greatest.max() / 1.8


class TestPacking:
    def test_charts_keep_their_proportions_and_distances(self):
        random = np.random.default_rng(0)
        sizes = random.uniform(1, 20, (40, 2))
        corners = np.stack([np.zeros_like(sizes), sizes * [1, 0], sizes], axis=1) + random.normal(0, 50, (40, 1, 2))
        packed = pack(corners, np.arange(40), 0.01)
        low, high = packed.min(axis=1), packed.max(axis=1)
        scale = (high - low) / sizes
        np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-6)
        assert low.min() >= 0.0099
        assert high.max() <= 0.9901
        apart = np.maximum(low[:, None] - high, low - high[:, None]).max(axis=2)
        assert apart[~np.eye(40, dtype=bool)].min() > 0.0199
        assert (sizes.prod(axis=1) * scale[0, 0] ** 2).sum() > 0.5  # of the square is used


class TestShipped:
    def test_it_is_the_one_that_is_found(self, default_model):
        shipped, found = read_layout(SHIPPED, default_model), lay_out(default_model)
        assert shipped is not None, "the default model has changed: python experiments/build_default_model.py --force"
        assert torch.equal(shipped.source, found.source)
        assert torch.equal(shipped.faces, found.faces)
        torch.testing.assert_close(shipped.uv, found.uv, atol=1e-6, rtol=0)

    def test_another_model_of_the_same_name_gets_its_own(self, default_model):
        part = default_model.restrict(default_model.frontal)
        assert part.name == default_model.name
        layout = texture_layout(part)
        assert torch.equal(layout.source[layout.faces], part.faces)

    def test_every_part_that_matters_is_compared(self, tiny_model, tmp_path):
        layout = texture_layout(tiny_model)
        write_layout(tmp_path / "layout.safetensors", layout, tiny_model)
        read = read_layout(tmp_path / "layout.safetensors", tiny_model)
        assert all(torch.equal(getattr(read, name), getattr(layout, name)) for name in ("source", "uv", "faces"))
        for name, other in (("mean_shape", 1.0), ("faces", 5), ("frontal", True), ("uv", 0.3)):
            changed = make_tiny_model()
            assert not (getattr(changed, name)[0] == other).any()
            getattr(changed, name)[0] = other
            assert read_layout(tmp_path / "layout.safetensors", changed) is None, name

    def test_a_damaged_file_is_named(self, tiny_model, tmp_path):
        (tmp_path / "layout.safetensors").write_bytes(b"noise" * 100)
        with pytest.raises(InputError, match=r"layout\.safetensors contains no valid texture layout \(.*install"):
            read_layout(tmp_path / "layout.safetensors", tiny_model)
