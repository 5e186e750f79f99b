"""What the page takes, and what it says about the rest."""

from __future__ import annotations

import numpy as np
import pytest
from odd_files import bomb, encoded
from PIL import Image

from mofa3d.viewer.uploads import Limits, plain_name, read_upload, too_large


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_photographs_are_read(picture, kind):
    photo = read_upload(encoded(picture, kind), "a.photo", Limits())
    assert photo.shape == (30, 40, 3)
    if kind in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(photo, np.asarray(picture))


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PPM", "ICO"])
def test_other_formats_of_pillow_are_not(picture, kind):
    with pytest.raises(ValueError, match=r"^a\.jpg is not an image that can be read; give a JPEG, PNG"):
        read_upload(encoded(picture, kind), "a.jpg", Limits())


def test_large_files(picture):
    content = encoded(picture, "BMP")
    limits = Limits(megabytes=len(content) / 1e6)
    assert read_upload(content, "a.bmp", limits).shape == (30, 40, 3)
    with pytest.raises(ValueError, match=r"^a\.bmp has 0\.0 MB, more than the 0\.003\d* MB that are taken; make it"):
        read_upload(content + b"\0", "a.bmp", limits)


def test_large_pictures(picture):
    limits = Limits(megapixels=0.0012)
    assert read_upload(encoded(picture, "PNG"), "a.png", limits).shape == (30, 40, 3)
    larger = encoded(picture.resize((41, 30)), "PNG")
    with pytest.raises(ValueError, match=r"^a\.png has 41×30 pixels, more than 1200; make it smaller"):
        read_upload(larger, "a.png", limits)
    with pytest.raises(ValueError, match=r"^a\.png (has 9000×9000|unpacks)"):
        read_upload(bomb(9000), "a.png", Limits())


def test_empty_files():
    with pytest.raises(ValueError, match=r"^a\.png is empty; choose a photograph"):
        read_upload(b"", "a.png", Limits())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Photos\\me.jpg", "me.jpg"),
        ("a\nb\x1b[31m.jpg", "ab[31m.jpg"),
        ("顔 ü.jpg", "顔 ü.jpg"),
        ("", "the file"),
        ("..", ".."),
        ("x" * 100 + ".jpg", "x" * 30 + "…" + "x" * 26 + ".jpg"),
    ],
)
def test_names_are_made_plain(name, shown):
    assert plain_name(name) == shown


def test_message_about_large_files():
    said = too_large("a/b.jpg", 25_000_000, Limits())
    assert said == "b.jpg has 25.0 MB, more than the 20 MB that are taken; make it smaller"
