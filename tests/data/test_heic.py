"""HEIC is read where pillow-heif is installed, and says what to install where it is not."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from icc_profiles import ADOBE_GAMMA, ADOBE_RGB, gamma_curve, rgb_profile
from PIL import Image

from mofa3d.data.photo import read_photo
from mofa3d.data.sources import Reader, find_items
from mofa3d.viewer.uploads import Limits, read_upload

HEAD = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"
PICTURE = np.add.outer(np.arange(64) * 3, np.arange(96)).clip(0, 255)[..., None].repeat(3, axis=2).astype(np.uint8)
PICTURE[:16, :16] = 250, 40, 40  # no turn maps it onto itself


@pytest.fixture
def heif():
    return pytest.importorskip("pillow_heif", reason="it is missing: pip install 'mofa3d[heic]'")


def encoded(heif, pixels: np.ndarray = PICTURE, **options) -> bytes:
    data = io.BytesIO()
    heif.from_pillow(Image.fromarray(pixels)).save(data, quality=95, chroma=444, **options)
    return data.getvalue()


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "IMG_0001.HEIC").write_bytes(HEAD + bytes(99))
    message = (
        r"IMG_0001.HEIC is an HEIC picture, which needs the package pillow-heif; run: pip install 'mofa3d\[heic\]'$"
    )
    with pytest.raises(ValueError, match=message):
        read_photo(tmp_path / "IMG_0001.HEIC")
    [item] = find_items([tmp_path])  # which lists it, and does not leave it out
    with pytest.raises(ValueError, match=message):
        Reader().read(item)


def test_pixels_come_back_nearly(heif, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(heif))
    for found in (read_photo(tmp_path / "a.jpg"), read_upload(encoded(heif), "a", Limits())):
        assert found.shape == (64, 96, 3)
        assert np.abs(found.astype(int) - PICTURE).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_once_and_whatever_the_notes_say(heif, orientation):
    """The format's own properties count; its EXIF block, which phones write too, does not."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = read_photo(io.BytesIO(encoded(heif)), "a").astype(int)
    image = Image.fromarray(PICTURE)
    image.info["exif"] = exif.tobytes()
    data = io.BytesIO()
    heif.register_heif_opener()
    image.save(data, "HEIF", quality=95, chroma=444)
    expected = {
        1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1], 5: plain.swapaxes(0, 1),
        6: np.rot90(plain, -1), 7: plain[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(plain),
    }[orientation]  # fmt: skip
    found = read_photo(io.BytesIO(data.getvalue()), "a").astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 2


def test_profiles_are_applied(heif):
    skin = np.full((32, 32, 3), [200, 150, 130], np.uint8)
    content = encoded(heif, skin, icc_profile=rgb_profile(ADOBE_RGB, gamma_curve(ADOBE_GAMMA)), icc_profile_type="prof")
    assert np.abs(read_photo(io.BytesIO(content), "a")[16, 16].astype(int) - [217, 151, 130]).max() <= 3


def test_primaries_without_a_profile(heif):
    skin = np.full((32, 32, 3), [200, 150, 130], np.uint8)
    content = encoded(heif, skin, color_primaries=12, transfer_characteristics=13)
    assert np.abs(read_photo(io.BytesIO(content), "a")[16, 16].astype(int) - [209, 147, 126]).max() <= 3


def test_too_many_pixels_and_damage(heif):
    content = encoded(heif)
    with pytest.raises(ValueError, match="a has 96×64 pixels, more than 1000"):
        read_photo(io.BytesIO(content), "a", max_pixels=1000)
    for part in (0.05, 0.3, 0.9):
        with pytest.raises(ValueError, match=r"^a is (damaged|not an image)"):
            read_photo(io.BytesIO(content[: int(part * len(content))]), "a")
