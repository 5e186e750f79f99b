"""A painted head, and what is painted before it."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.data.crop_transform import CropTransform
from mofa3d.pictures.in_front import in_front
from mofa3d.pictures.overlay import Layer

SIDE = 200
SKIN = np.array([200, 150, 120])
y, x = np.mgrid[:SIDE, :SIDE] + 0.5
HEAD = np.hypot((x - 100) / 60, (y - 100) / 85) < 1
# The contour lies on the outline; all the features, between (80, 90) and (120, 130).
ANGLES = np.linspace(0, np.pi, 17)
CONTOUR = np.stack([100 - 60 * np.cos(ANGLES), 100 + 85 * np.sin(ANGLES)], axis=1)
FEATURES = np.stack([np.tile([80.0, 120.0], 26)[:51], np.linspace(90, 130, 51)], axis=1)
LANDMARKS = np.concatenate([CONTOUR, FEATURES])


def rendered() -> np.ndarray:
    return np.dstack([HEAD[..., None] * SKIN / 255, HEAD]).astype(np.float32)


def photograph() -> np.ndarray:
    return np.where(HEAD[..., None], SKIN, (30, 60, 160)).astype(np.uint8)


def hidden(photo: np.ndarray) -> np.ndarray:
    return in_front(photo, rendered(), LANDMARKS, SIDE)


def test_skin_of_the_models_color_is_the_face():
    found = hidden(photograph())
    inside = np.hypot((x - 100) / 54, (y - 100) / 79) < 1
    assert found.shape == (SIDE, SIDE)
    assert found[inside].max() < 0.02
    assert (found[~HEAD] == 0).all()


@pytest.mark.parametrize("lit", [0.85, 1.2])
def test_light_that_the_model_did_not_find_hides_nothing(lit):
    photo = photograph()
    photo[:, 100:] = (lit * photo[:, 100:].astype(float)).clip(0, 255).astype(np.uint8)
    assert hidden(photo)[40:160, 60:140].max() < 0.05


def test_hats_collars_and_what_lies_beyond_them_stay():
    photo = photograph()
    photo[40:60] = 20  # above it lies more of the skin's color, which hangs together with nothing
    photo[160:] = 250
    found = hidden(photo)
    assert found[44:57, 90:110].min() > 0.95
    assert found[20:36, 90:110].min() > 0.95
    assert found[165:180, 90:110].min() > 0.95
    assert found[70:148, 60:140].max() < 0.05


def test_borders_are_sharp():
    photo = photograph()
    photo[:60] = 20
    column = hidden(photo)[:, 100]
    assert 1 <= np.count_nonzero((column > 0.1) & (column < 0.9) & HEAD[:, 100]) <= 8
    assert abs(np.flatnonzero(column > 0.5).max() - 59) <= 2


def test_features_are_always_drawn_and_neither_wrinkles_nor_shadows_are_holes():
    photo = photograph()
    photo[90:130, 80:120] = 255  # glasses that mirror a window
    photo[75:77, 60:140] = (120, 80, 60)
    photo[145:165, 85:115] = 40  # a shadow with skin all around
    found = hidden(photo)
    assert found[147:163, 87:113].max() < 0.1
    assert found[95:125, 85:115].max() < 0.05
    assert found[72:80, 70:130].max() < 0.1


def test_a_face_like_nothing_in_the_photograph_shows_its_features():
    found = hidden(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert found[100:120, 90:110].max() < 0.05
    assert found[30:60, 90:110].min() > 0.95


@pytest.mark.parametrize("more", [-10, 0, 10])
def test_a_layer_takes_what_hides_another_one_of_another_margin(more):
    photo = photograph()
    photo[:60] = 20
    head = Layer(rendered(), 160, CropTransform(20.0, 20.0, 1.0), 20, LANDMARKS)
    found = head.hidden(photo)
    other = np.pad(found, more) if more >= 0 else found[-more:more, -more:more]
    laid = head.behind(other).over(photo)
    assert np.array_equal(head.behind(found).over(photo)[40:160, 60:140], laid[40:160, 60:140])
    assert np.abs(laid[25:50, 80:120].astype(int) - 20).max() <= 2
    assert np.array_equal(laid[70:150, 70:130], photo[70:150, 70:130])
    assert np.abs(head.over(photo)[25:50, 80:120].astype(int) - SKIN).max() <= 1
