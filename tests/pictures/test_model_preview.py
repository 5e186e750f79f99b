"""The preview shows what its captions say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d.models.sanity import best_column
from mofa3d.pictures import views
from mofa3d.pictures.model_preview import (
    DOT_COLOR,
    PreviewConfig,
    lit,
    mark_points,
    model_rows,
    random_faces,
    sample_rows,
    single_modes,
)
from mofa3d.pictures.portraits import Studio
from mofa3d.renderers import make_renderer

CONFIG = PreviewConfig(count=5, image_size=50)


@pytest.fixture(scope="module")
def render():
    return make_renderer("cpu")


@pytest.fixture(scope="module")
def rows(render):
    return model_rows(make_tiny_model(), render, CONFIG)


def changed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which pixels differ visibly."""
    return np.abs(a.astype(int) - b.astype(int)).max(axis=-1) > 12


class TestModelRows:
    def test_captions_and_sizes(self, rows):
        # The tiny model has 5 shape, 4 expression and 6 reflectance modes.
        assert [(row.caption, row.pictures.shape) for row in rows] == [
            ("Mean face of tiny: with its landmarks, from the front, turned by ±40°", (4, 62, 50, 3)),
            ("Shape modes 1 to 5, each at −2σ", (5, 50, 40, 3)),
            ("Shape modes 1 to 5, each at +2σ", (5, 50, 40, 3)),
            ("Expression modes 1 to 4, each at −2σ", (4, 50, 40, 3)),
            ("Expression modes 1 to 4, each at +2σ", (4, 50, 40, 3)),
            ("Reflectance modes 1 to 5, each at −2σ", (5, 50, 40, 3)),
            ("Reflectance modes 1 to 5, each at +2σ", (5, 50, 40, 3)),
            ("Random faces from the front", (5, 50, 40, 3)),
            ("Random faces turned by 40°", (5, 50, 40, 3)),
            ("Random faces turned by −40°", (5, 50, 40, 3)),
        ]

    def test_landmarks_are_drawn_on_the_first_picture_only(self, rows):
        dotted, plain, *sides = rows[0].pictures
        distance = [np.abs(picture.astype(int) - DOT_COLOR).max(axis=-1) for picture in (dotted, plain, *sides)]
        blue = [(from_dot < 40).sum() for from_dot in distance]
        assert blue[0] > 20
        assert blue[1:] == [0, 0, 0]
        assert changed(dotted, plain).sum() < 68 * 16

    def test_geometry_is_grey_and_reflectance_is_not_shaded(self, rows):
        assert np.ptp(rows[1].pictures.astype(int), axis=-1).max() <= 1
        assert np.ptp(rows[5].pictures.astype(int), axis=-1).max() > 10

    def test_opposite_signs_are_different_faces(self, rows):
        for lower, upper in ((1, 2), (3, 4), (5, 6)):
            pairs = zip(rows[lower].pictures, rows[upper].pictures, strict=True)
            assert all(changed(a, b).any() for a, b in pairs), rows[lower].caption

    def test_same_people_from_three_sides(self, render):
        # Without modes all random faces are the mean face.
        rows = model_rows(make_tiny_model(), render, replace(CONFIG, shape=0.0, expression=0.0, reflectance=0.0))
        for row in rows[-3:]:
            assert not changed(row.pictures, row.pictures[:1]).any()
        assert changed(rows[-3].pictures, rows[-2].pictures).any()
        assert changed(rows[-2].pictures, rows[-1].pictures).any()

    def test_blocks_without_modes_have_no_rows(self, render):
        model = make_tiny_model(sizes=(2, 0, 1))
        captions = [row.caption for row in model_rows(model, render, CONFIG)]
        assert not any("Expression" in caption for caption in captions)
        assert "Reflectance modes 1 to 1, each at +2σ" in captions


class TestModes:
    def test_codes_are_zero_but_for_one_column_each(self, tiny_model):
        code = single_modes(tiny_model, "expression", -2.0, 3)
        assert torch.equal(code.expression, torch.tensor([[-2.0, 0, 0, 0], [0, -2.0, 0, 0], [0, 0, -2.0, 0]]))
        assert float(code.to_vector().abs().sum()) == 6

    def test_a_mode_changes_the_picture_where_it_moves_the_face(self, render):
        model = make_tiny_model(rings=24)
        upper = model.mean_shape[:, 1] > 20
        model.shape_basis[..., 0] = 0
        model.shape_basis[upper, 2, 0] = 4 * torch.sin(model.mean_shape[upper, 0] / 6)  # ripples on the forehead
        row = model_rows(model, render, replace(CONFIG, image_size=100))[2]
        studio = Studio(model, render, 100)
        where = changed(row.pictures[0], studio.draw(studio.mean, views.geometry)[0])
        assert where[:35].sum() > 200
        assert not where[60:].any()

    def test_mouth_of_the_default_model(self, default_model, render):
        mouth = best_column(default_model, "opens the mouth")
        rows = model_rows(default_model, render, PreviewConfig(count=mouth.column + 1, image_size=120))
        opened = rows[4 if mouth.sign > 0 else 3].pictures[mouth.column]
        studio = Studio(default_model, render, 120)
        where = changed(opened, studio.draw(studio.mean, lit)[0])
        points = studio.landmarks(studio.mean)
        nostrils = round(float(points[33, 1]))
        assert where.sum() > 150  # at two deviations mouths open as far as in photographs, not as in a scream
        assert where[nostrils:].sum() > 0.8 * where.sum()


class TestSamples:
    def test_lit_as_clay_and_as_reflectance(self, render):
        rows = sample_rows(make_tiny_model(), render, CONFIG)
        assert [row.caption for row in rows] == [
            "Random faces in random light", "Their geometry", "Their reflectance",
        ]  # fmt: skip
        grey = [np.ptp(row.pictures.astype(int), axis=-1).max() for row in rows]
        assert grey[1] <= 1  # clay has no color
        assert min(grey[0], grey[2]) > 10
        assert changed(rows[0].pictures[0], rows[0].pictures[1]).any()

    def test_spread_and_seed_are_those_asked_for(self, tiny_model):
        config = PreviewConfig(count=2000, shape=0.5, expression=0.0, reflectance=2.0, yaw=0.3, pitch=0.0, roll=0.1)
        codes = random_faces(tiny_model, config)
        assert float(codes.shape.std()) == pytest.approx(0.5, rel=0.05)
        assert float(codes.reflectance.std()) == pytest.approx(2.0, rel=0.05)
        assert float(codes.expression.abs().max()) == 0
        assert codes.rotation.std(dim=0).tolist() == pytest.approx([0.0, 0.3, 0.1], rel=0.1)
        assert float(codes.translation.abs().max()) == 0
        again, other = random_faces(tiny_model, config), random_faces(tiny_model, replace(config, seed=1))
        assert torch.equal(again.to_vector(), codes.to_vector())
        assert not torch.equal(other.shape, codes.shape)


def test_points_are_marked_at_their_pixels():
    picture = np.full((40, 60, 3), 255, np.uint8)
    marked = mark_points(picture, np.array([[10.5, 20.5], [45.5, 5.5]]))
    assert (picture == 255).all()
    rows, columns = np.nonzero((marked != 255).any(axis=-1))
    assert tuple(marked[20, 10]) == tuple(marked[5, 45]) == DOT_COLOR
    near = [(abs(rows - y) <= 2) & (abs(columns - x) <= 2) for x, y in ((10, 20), (45, 5))]
    assert (near[0] | near[1]).all()


@pytest.mark.parametrize("name", ["count", "image_size"])
def test_sizes_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} is 0; give a number from 1"):
        PreviewConfig(**{name: 0})
