"""Pictures of more than 8 bits keep their brightness, whatever range their values have."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from tiff_tables import with_tags

from mofa3d.data.photo import read_photo
from mofa3d.data.pixel_depth import to_8_bits

GREY = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
COLOR = np.stack([GREY, GREY[::-1], 1 - GREY[:, ::-1] / 2], axis=-1)
LEVELS, COLOR_LEVELS = GREY * 255, COLOR * 255


def read(content: bytes) -> np.ndarray:
    return read_photo(io.BytesIO(content), "a").astype(int)


def by_pillow(values: np.ndarray, kind: str, **options) -> bytes:
    data = io.BytesIO()
    Image.fromarray(values).save(data, kind, **options)
    return data.getvalue()


def by_opencv(values: np.ndarray, kind: str) -> bytes:
    rgb_first = values[..., [2, 1, 0, 3][: values.shape[-1]]] if values.ndim == 3 else values
    done, data = cv2.imencode(kind, rgb_first)
    assert done
    return data.tobytes()


def near(found: np.ndarray, levels: np.ndarray, tolerance: float = 0.6) -> bool:
    return float(np.abs(found - (levels[..., None] if levels.ndim == 2 else levels)).max()) <= tolerance


class TestGreys:
    @pytest.mark.parametrize(("white", "tolerance"), [(1, 0.6), (255, 0.6), (4095, 0.6), (65535, 0.6)])
    def test_floats(self, white, tolerance):
        assert near(read(by_pillow(GREY * np.float32(white), "TIFF")), LEVELS, tolerance)

    @pytest.mark.parametrize("bits", [10, 12, 16])
    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_16_bits_and_less_in_16(self, bits, kind):
        values = (GREY * (2**bits - 1)).round().astype(np.uint16)
        assert near(read(by_pillow(values, kind)), LEVELS)

    def test_32_bits_of_integers(self):
        for white in (255, 4095, 65535, 2**31 - 1):
            assert near(read(by_pillow((GREY.astype(float) * white).round().astype(np.int32), "TIFF")), LEVELS, 0.7)

    def test_floats_that_exceed_their_white_are_cut_off(self):
        values = GREY.copy()
        values[0, 0], values[0, 1] = -0.2, 1.3
        found = read(by_pillow(values, "TIFF"))
        assert found[0, :2, 0].tolist() == [0, 255]
        assert near(found[1:], LEVELS[1:])

    def test_nan_and_infinity(self):
        values = GREY.copy()
        values[0, :3] = np.nan, np.inf, -np.inf
        found = read(by_pillow(values, "TIFF"))[..., 0]
        assert found[0, :3].tolist() == [0, 255, 0]
        assert np.abs(found[1:] - LEVELS[1:]).max() <= 0.6
        assert read(by_pillow(np.full((2, 2), np.nan, np.float32), "TIFF")).tolist() == np.zeros((2, 2, 3)).tolist()

    def test_white_that_is_zero(self):
        for values in (GREY, (GREY * 65535).astype(np.uint16)):
            inverted = with_tags(by_pillow(values, "TIFF"), (262, 3, 1, 0))
            assert near(read(inverted), 255 - LEVELS)

    def test_few_bits(self):
        assert read(by_pillow(GREY > 0.5, "PNG"))[..., 1].tolist() == (255 * (GREY > 0.5)).tolist()
        assert read(by_pillow(GREY > 0.5, "TIFF"))[..., 1].tolist() == (255 * (GREY > 0.5)).tolist()


class TestColors:
    @pytest.mark.parametrize("bits", [10, 12, 16])
    @pytest.mark.parametrize("kind", [".png", ".tiff"])
    @pytest.mark.parametrize("channels", [3, 4])
    def test_16_bits_and_less_in_16(self, bits, kind, channels):
        values = (COLOR * (2**bits - 1)).round().astype(np.uint16)
        if channels == 4:
            values = np.dstack([values, np.full((4, 6), 2**bits - 1, np.uint16)])
        found = read(by_opencv(values, kind))
        assert near(found, COLOR_LEVELS)

    @pytest.mark.parametrize("white", [1, 255, 65535])
    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_floats(self, white, kind):
        assert near(read(by_opencv((COLOR * white).astype(kind), ".tiff")), COLOR_LEVELS)

    def test_transparency_of_16_bits(self):
        values = np.zeros((2, 3, 4), np.uint16)
        values[..., 0], values[:, 1, 3], values[:, 2, 3] = 51400, 65535, 13107  # transparent, opaque, a fifth
        assert read(by_opencv(values, ".png"))[0].tolist() == [[255, 255, 255], [200, 0, 0], [244, 204, 204]]

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("values", [COLOR, (COLOR * 65535).astype(np.uint16)], ids=["float", "16 bits"])
    def test_deep_tiffs_are_turned_once(self, values, orientation):
        upright = read(by_opencv(values, ".tiff"))
        turned = read(with_tags(by_opencv(values, ".tiff"), (0x0112, 3, 1, orientation)))
        quarter = {5: np.swapaxes(upright, 0, 1), 6: np.rot90(upright, -1), 7: np.rot90(upright, 2).swapaxes(0, 1)}
        expected = {
            1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], **quarter, 8: np.rot90(upright)
        }[orientation]  # fmt: skip
        assert np.array_equal(turned, expected)

    def test_too_many_pixels_are_refused_before_they_are_unpacked(self):
        content = by_opencv(COLOR, ".tiff")
        with pytest.raises(ValueError, match="a has 6×4 pixels, more than 23"):
            read_photo(io.BytesIO(content), "a", max_pixels=23)

    @pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
    def test_cut_off(self, part):
        content = by_opencv(np.random.default_rng(0).random((40, 40, 3), dtype=np.float32), ".tiff")
        with pytest.raises(ValueError, match=r"^a is (damaged|not an image)"):
            read(content[: int(part * len(content))])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 255]], np.uint16), [0, 0, 1]),
        (np.array([[0, 512, 1023]], np.uint16), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[-5, 0, 4000]], np.int16), [0, 0, 249]),
        (np.array([[0, 2**32 - 1]], np.uint32), [0, 255]),
        (np.array([[0, 0.5, 1]], np.float64), [0, 128, 255]),
        (np.array([[0, 128, 260]], np.float32), [0, 128, 255]),
        (np.array([[3, 4]], np.uint8), [3, 4]),
        (np.zeros((1, 2), np.float32), [0, 0]),
    ],
)  # fmt: skip
def test_white(values, expected):
    found = to_8_bits(values)
    assert found.dtype == np.uint8
    assert found[0].tolist() == expected
