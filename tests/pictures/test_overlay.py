"""A head laid over a photograph is in color where the photograph is."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.data.crop_transform import CropTransform
from mofa3d.pictures.overlay import composite

SIZE = 24


@pytest.fixture
def rgba():
    picture = np.zeros((SIZE, SIZE, 4), dtype=np.float32)
    picture[6:18, 6:18] = (0.2, 0.6, 1.0, 1.0)
    return picture


def grey_photo() -> np.ndarray:
    level = np.random.default_rng(0).integers(0, 256, (40, 40, 1))
    return np.broadcast_to(level, (40, 40, 3)).astype(np.uint8)


def test_a_head_over_a_grey_photograph_is_grey(rgba):
    photo = grey_photo()
    found = composite(photo, rgba, CropTransform(8, 8, 1.0))
    assert found[20, 20].tolist() == [round(255 * (0.299 * 0.2 + 0.587 * 0.6 + 0.114))] * 3
    assert np.array_equal(found[:8], photo[:8])


def test_a_head_over_a_photograph_with_color_keeps_its_own(rgba):
    photo = grey_photo()
    photo[..., 2] //= 2
    assert composite(photo, rgba, CropTransform(8, 8, 1.0))[20, 20].tolist() == [51, 153, 255]


def test_what_jpeg_leaves_of_color_does_not_count(rgba):
    photo = grey_photo().astype(int)
    noise = np.random.default_rng(1).integers(-1, 1, photo.shape)
    for change, grey in ((noise, True), (np.array([8, 0, -8]), False)):
        changed = (photo + change).clip(0, 255).astype(np.uint8)
        assert (np.ptp(composite(changed, rgba, CropTransform(8, 8, 1.0))[20, 20]) == 0) == grey
