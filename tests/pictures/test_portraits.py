"""In the studio the mean face fills its picture and is in the middle, however it is turned and wherever a model is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d.pictures import views
from mofa3d.pictures.portraits import ASPECT, FILLED, Studio, turned
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import CodeSizes, SemanticCode

SIZES = CodeSizes(5, 4, 6)
HEIGHT = 100


@pytest.fixture(scope="module")
def render():
    return make_renderer("cpu")


def extent(picture: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is not white, in shares of width and height."""
    rows, columns = np.nonzero((picture < 250).any(axis=-1))
    height, width = picture.shape[:2]
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


@pytest.mark.parametrize("angle", [0.0, 40.0, -40.0])
@pytest.mark.parametrize("shift", [0.0, 60.0])
def test_mean_face_fills_the_picture(render, angle, shift):
    model = make_tiny_model(rings=20)
    model.mean_shape[:, 1] += shift  # as a model would be that shows more of the neck or less
    studio = Studio(model, render, HEIGHT)
    picture = studio.draw(turned(studio.mean, angle), views.reflectance, angle)
    assert picture.shape == (1, HEIGHT, ASPECT * HEIGHT, 3)
    left, top, right, bottom = extent(picture[0])
    assert left + right == pytest.approx(1, abs=0.04)
    assert top + bottom == pytest.approx(1, abs=0.04)
    if angle == 0:
        assert max(right - left, bottom - top) == pytest.approx(FILLED, abs=0.04)


def test_as_many_pictures_as_codes_whatever_the_batch(render):
    studio = Studio(make_tiny_model(), render, 30)
    codes = make_code(11, SIZES, dtype=torch.float32)
    together = studio.draw(codes, views.reflectance)
    assert together.shape == (11, 30, 24, 3)
    np.testing.assert_array_equal(studio.draw(codes[9:10], views.reflectance)[0], together[9])


def test_translation_of_the_codes_does_not_matter(render):
    studio = Studio(make_tiny_model(), render, 30)
    codes = make_code(2, SIZES, dtype=torch.float32)
    moved = codes.replace(translation=codes.translation + 50)
    np.testing.assert_array_equal(studio.draw(codes, views.reflectance), studio.draw(moved, views.reflectance))


def test_landmarks_are_where_their_surface_is(render):
    model = make_tiny_model(rings=20)
    model.mean_reflectance[:] = 0.2
    model.mean_reflectance[model.faces[model.landmark_faces[30]]] = torch.tensor([1.0, 0.0, 0.0])
    studio = Studio(model, render, HEIGHT)
    picture = studio.draw(studio.mean, views.reflectance)[0].astype(int)
    red = (picture[..., 0] - picture[..., 1]).clip(0)
    rows, columns = np.indices(red.shape)
    middle = np.array([(columns * red).sum(), (rows * red).sum()]) / red.sum() + 0.5
    assert np.linalg.norm(studio.landmarks(studio.mean)[30] - middle) < 3


def test_turned_faces_look_to_their_left():
    codes = turned(SemanticCode.zeros(2, SIZES), 90)
    np.testing.assert_allclose(codes.rotation, [[0, np.pi / 2, 0]] * 2, rtol=1e-6)
