"""Sheets are rows of untouched pictures, each below a line of text."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.pictures.contact_sheet import CAPTION_HEIGHT, Row, draw_sheet


def pictures(count: int, height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_rows_of_different_sizes():
    large, small = pictures(2, 50, 200, 0), pictures(3, 20, 30, 1)
    sheet = draw_sheet([Row("large", large), Row("small", small)])
    assert (sheet.shape, sheet.dtype) == ((2 * CAPTION_HEIGHT + 70, 400, 3), np.uint8)
    for number in range(2):
        np.testing.assert_array_equal(
            sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + 50, 200 * number : 200 * (number + 1)], large[number]
        )
    below = sheet[2 * CAPTION_HEIGHT + 50 :]
    for number in range(3):
        np.testing.assert_array_equal(below[:, 30 * number : 30 * (number + 1)], small[number])
    assert (below[:, 90:] == 255).all()


@pytest.mark.parametrize("text", ["modes", "−2σ ± 40°"])
def test_captions_are_dark_on_white_and_inside_their_line(text):
    line = draw_sheet([Row(text, pictures(1, 4, 300, 0))])[:CAPTION_HEIGHT]
    dark = (line < 128).all(axis=-1)
    rows, columns = np.nonzero(dark)
    assert 10 < dark.sum() < 1000
    assert 3 < rows.min() <= rows.max() < CAPTION_HEIGHT - 3
    assert columns.min() < 12
    assert (line[:, 200:] == 255).all()


def test_signs_have_shapes_of_their_own():
    lines = {text: draw_sheet([Row(text, pictures(1, 1, 40, 0))])[:CAPTION_HEIGHT].tobytes() for text in "σ±−°"}
    assert len(set(lines.values())) == 4  # a font that lacks them draws the same box for each
