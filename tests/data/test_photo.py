"""Photographs of every kind come out as upright 8-bit RGB, and what is none is named in the error."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mofa3d.data.photo import find_photos, read_photo, to_tensor

# Four quarters that no rotation or reflection maps onto themselves.
QUARTERS = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]], dtype=np.uint8)
PICTURE = QUARTERS.repeat(8, axis=0).repeat(12, axis=1)  # 16 high, 24 wide


def write(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp"])
def test_lossless_formats_come_back_exactly(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = read_photo(write(tmp_path / f"a.{suffix}", PICTURE, **options))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, PICTURE)


def test_jpeg_comes_back_nearly(tmp_path):
    pixels = read_photo(write(tmp_path / "a.jpg", PICTURE, quality=95, subsampling=0)).astype(int)
    assert np.abs(pixels - PICTURE).max() < 12


# What a camera held in each way stores, from the upright picture.
STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_undone(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](PICTURE))
    assert np.array_equal(read_photo(write(tmp_path / "a.png", stored, exif=exif)), PICTURE)


def test_transparent_parts_come_out_white(tmp_path):
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[..., 0] = 200
    rgba[:, 1, 3], rgba[:, 2, 3] = 255, 51  # transparent, opaque, a fifth
    row = read_photo(write(tmp_path / "a.png", rgba))[0].tolist()
    assert row == [[255, 255, 255], [200, 0, 0], [244, 204, 204]]


def test_transparent_color_of_a_palette_comes_out_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert read_photo(tmp_path / "a.png")[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_grey_with_alpha(tmp_path):
    grey = Image.merge("LA", [Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 0)])
    grey.save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").tolist() == [[[255, 255, 255]]]


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    assert np.array_equal(read_photo(write(tmp_path / "a.png", grey)), grey[..., None].repeat(3, axis=2))


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path):
    grey = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    assert read_photo(write(tmp_path / "a.png", grey))[0, :, 0].tolist() == [0, 1, 100, 255]


def test_dark_16_bit_grey_stays_dark(tmp_path):
    grey = np.array([[0, 100, 255]], dtype=np.uint16)
    assert read_photo(write(tmp_path / "a.png", grey)).max() == 1


def test_cmyk(tmp_path):
    inks = np.zeros((16, 16, 4), dtype=np.uint8)
    inks[:8, :, 1:3] = 255  # magenta and yellow: red
    inks[8:, :, 3] = 255  # black
    Image.fromarray(inks, mode="CMYK").save(tmp_path / "a.jpg", quality=100)
    pixels = read_photo(tmp_path / "a.jpg").astype(int)
    assert np.abs(pixels[:6] - [255, 0, 0]).max() < 10
    assert pixels[10:].max() < 10


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert (read_photo(tmp_path / "a.webp") == [255, 0, 0]).all()


def test_content_counts_and_not_the_suffix(tmp_path):
    path = write(tmp_path / "a.png", PICTURE).rename(tmp_path / "a.JPG")
    assert np.array_equal(read_photo(str(path)), PICTURE)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "not an image"), (b"hello", "not an image"), (b"\xff\xd8\xff\xe0 no more", "a.jpg")]
)
def test_what_is_no_image(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_cut_off_files_are_errors_that_name_them(tmp_path, suffix, part):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=rf"a\.{suffix}"):
        read_photo(path)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"there is no photograph at .*a\.jpg"):
        read_photo(tmp_path / "a.jpg")


def test_folder_is_no_photograph(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read_photo(tmp_path)


def test_huge_images_are_refused_before_they_are_unpacked(tmp_path):
    path = write(tmp_path / "a.png", PICTURE)
    assert read_photo(path, max_pixels=24 * 16).shape == (16, 24, 3)
    with pytest.raises(ValueError, match="24×16"):
        read_photo(path, max_pixels=24 * 16 - 1)


def test_size_in_the_header_alone_is_enough_to_refuse(tmp_path):
    header = b"BM" + b"\0" * 12 + (40).to_bytes(4, "little") + (200_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0"
    (tmp_path / "bomb.bmp").write_bytes(header + b"\0" * 24)
    with pytest.raises(ValueError, match=r"bomb\.bmp"):
        read_photo(tmp_path / "bomb.bmp")


class TestFindPhotos:
    def test_every_photograph_in_order(self, tmp_path):
        no_photos = ("notes.txt", ".hidden.jpg", ".thumbs/t.jpg", "b/._1.jpeg")
        for name in ("b/2.JPG", "b/1.jpeg", "a.webp", "b/c/x.png", *no_photos):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "folder.jpg").mkdir()
        found = [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path)]
        assert found == ["a.webp", "b/1.jpeg", "b/2.JPG", "b/c/x.png"]

    def test_hidden_folders_above_the_root_do_not_matter(self, tmp_path):
        root = tmp_path / ".cache" / "photos"
        root.mkdir(parents=True)
        (root / "a.jpg").touch()
        assert find_photos(root) == [root / "a.jpg"]

    def test_missing_folder(self, tmp_path):
        with pytest.raises(ValueError, match="there is no folder"):
            find_photos(tmp_path / "nowhere")

    def test_folder_without_photographs(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(ValueError, match="contains no photographs"):
            find_photos(tmp_path)


def test_to_tensor_puts_the_color_first():
    photo = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    tensor = to_tensor(photo)
    assert tensor.shape == (3, 4, 5)
    assert tensor[2, 3, 1] == photo[3, 1, 2] / np.float32(255)
    assert 0 <= tensor.min() <= tensor.max() <= 1


def test_results_below_a_folder_are_no_photographs(tmp_path):
    for name in ("a.png", "faces/a/overlay.png", "faces/a/mine.png", "evaluation/deep/faces.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "faces" / "a" / "reconstruction.json").write_text('{"files": ["overlay.png"]}')
    (tmp_path / "evaluation" / ".mofa3d").write_text("evaluate.py")
    assert find_photos(tmp_path) == [tmp_path / "a.png", tmp_path / "faces" / "a" / "mine.png"]
    assert find_photos(tmp_path / "evaluation") == [tmp_path / "evaluation" / "deep" / "faces.png"]  # named itself
