"""Whatever a file holds, and whatever it is: reading it gives a photograph, or one line that names it."""

from __future__ import annotations

import io
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from tiff_tables import with_tags

from mofa3d.data import photo
from mofa3d.data.frame_picker import count_frames
from mofa3d.data.photo import read_photo, to_photo
from mofa3d.data.sources import Item, Reader, find_items
from mofa3d.data.video import read_frames, read_info
from mofa3d.viewer.uploads import Limits, read_upload

PICTURE = np.add.outer(np.arange(16) * 9, np.arange(24) * 4)[..., None].repeat(3, axis=2).astype(np.uint8)
ORIENTATION = 0x0112


def jpeg(exif: bytes = b"") -> bytes:
    data = io.BytesIO()
    Image.fromarray(PICTURE).save(data, "JPEG", quality=95, exif=exif)
    return data.getvalue()


def exif_of(*entries: tuple[int, int, int, bytes], behind: bytes = b"") -> bytes:
    """An EXIF block of tags (number, type, count, four bytes), and what they point to, which begins at byte 100."""
    table = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4)
    return b"Exif\0\0" + head.ljust(100, b"\0") + behind


TURNED = (ORIENTATION, 3, 1, struct.pack("<HH", 6, 0))
ODD = {
    "nan": [(0x9A9A, 11, 1, struct.pack("<f", float("nan"))), TURNED],
    "negative rational": [TURNED, (0x9201, 5, 1, struct.pack("<I", 100))],
    "points beyond the block": [TURNED, (0x8769, 4, 1, struct.pack("<I", 60_000)), (0x8825, 4, 1, b"\xff" * 4)],
    "unknown type": [TURNED, (0x9003, 99, 7, b"\xff" * 4)],
    "very many": [TURNED, (0x927C, 7, 2**31, struct.pack("<I", 100))],
}


class TestOrientation:
    @pytest.mark.parametrize("entries", ODD.values(), ids=ODD)
    def test_photographs_with_odd_tags_beside_it_come_upright(self, entries):
        read = read_photo(io.BytesIO(jpeg(exif_of(*entries, behind=struct.pack("<ii", -1, -3)))), "a.jpg")
        expected = np.rot90(read_photo(io.BytesIO(jpeg()), "b.jpg"), -1)
        assert np.array_equal(read, expected)

    @pytest.mark.parametrize(
        "block",
        [
            b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0" + b"\xff" * 40, exif_of((ORIENTATION, 2, 4, b"abc\0")),
            exif_of((ORIENTATION, 3, 1, struct.pack("<HH", 77, 0))), exif_of((ORIENTATION, 5, 9, b"\xff" * 4)),
        ],
    )  # fmt: skip
    def test_photographs_whose_block_says_nonsense_come_as_they_are(self, block):
        assert read_photo(io.BytesIO(jpeg(block)), "a.jpg").shape == (16, 24, 3)

    def test_other_tags_are_not_rewritten(self, monkeypatch):
        monkeypatch.setattr(Image.Exif, "tobytes", None)
        monkeypatch.setattr(Image.Exif, "get_ifd", None)
        assert read_photo(io.BytesIO(jpeg(exif_of(TURNED))), "a.jpg").shape == (24, 16, 3)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "JPEG", "MPO", "AVIF"])
    def test_every_format_is_turned_once(self, kind, orientation):
        data, exif = io.BytesIO(), Image.Exif()
        exif[ORIENTATION] = orientation
        options = {"WEBP": {"lossless": True}, "TIFF": {}, "PNG": {}, "MPO": {"append_images": []}}
        Image.fromarray(PICTURE).save(data, kind, exif=exif, **options.get(kind, {"quality": 95}))
        expected = {
            1: PICTURE, 2: PICTURE[:, ::-1], 3: PICTURE[::-1, ::-1], 4: PICTURE[::-1], 5: PICTURE.swapaxes(0, 1),
            6: np.rot90(PICTURE, -1), 7: PICTURE[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(PICTURE),
        }[orientation]  # fmt: skip
        found = read_photo(io.BytesIO(data.getvalue()), "a").astype(int)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= (0 if kind in ("TIFF", "PNG", "WEBP") else 12)

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
    def test_odd_tags_of_tiff_files(self, compression):
        """Their EXIF tags are those of the image, beside which Pillow would rewrite them."""
        data = io.BytesIO()
        Image.fromarray(PICTURE).save(data, "TIFF", compression=compression)
        for odd in (
            (0x9201, 5, 1, 2**31), (0x9201, 12, 1, 9), (0x8825, 4, 1, 2**31), (0x8825, 13, 1, 3), (0x9201, 99, 1, 1),
            (700, 3, 1, 7), (0x8769, 4, 1, 60), (0x927C, 7, 2**31, 8), (0x9A9A, 11, 1, 0x7FC00000),
        ):  # fmt: skip
            content = with_tags(data.getvalue(), (ORIENTATION, 3, 1, 6), odd)
            assert np.array_equal(read_photo(io.BytesIO(content), "a"), np.rot90(PICTURE, -1)), odd

    def test_odd_tags_of_avif_files(self):
        """Pillow writes the turn of the format into the EXIF block, and libavif refuses blocks without a head."""
        data, exif = io.BytesIO(), Image.Exif()
        exif[ORIENTATION], exif[0x010F] = 6, "maker"
        Image.fromarray(PICTURE).save(data, "AVIF", quality=95, exif=exif)
        content = data.getvalue()
        start = content.index(b"maker") - 30
        for position in range(start, start + 30):
            for value in (0, 255):
                odd = content[:position] + bytes([value]) + content[position + 1 :]
                assert read_photo(io.BytesIO(odd), "a").shape == (24, 16, 3)


RAISED = [
    struct.error("unpack"), TypeError("not iterable"), RuntimeError("decoder"), NotImplementedError(), MemoryError(),
    RecursionError("too deep"), SyntaxError("cannot parse"), ValueError("not enough data"), KeyError("mode"),
    ZeroDivisionError(), AssertionError(), UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), SystemError("in C"),
]  # fmt: skip


@pytest.fixture
def raising(request, monkeypatch):
    """Decoders that raise."""

    def fail(*_):
        raise request.param

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", fail)


@pytest.mark.parametrize("raising", RAISED, ids=lambda error: type(error).__name__, indirect=True)
def test_whatever_a_decoder_raises_is_the_files_fault(raising, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    message = r"a\.jpg (is damaged \(.+\); replace it|needs more memory than there is; make it smaller)"
    with pytest.raises(ValueError, match=message):
        read_photo(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=message):
        Reader().read(Item("photos/a.jpg", tmp_path / "a.jpg", tmp_path))
    with Image.open(tmp_path / "a.jpg") as image, pytest.raises(ValueError, match=message):
        to_photo(image, "a.jpg")
    with pytest.raises(ValueError, match=message):
        read_upload(jpeg(), "a.jpg", Limits())


def test_formats_that_run_other_programs_are_not_read(tmp_path, monkeypatch):
    Image.fromarray(PICTURE).save(tmp_path / "a.eps")
    with Image.open(tmp_path / "a.eps") as image:
        monkeypatch.setattr(type(image), "load", lambda *_: pytest.fail("Ghostscript ran"))
    for name in ("a.eps", "a.jpg"):
        content = (tmp_path / "a.eps").read_bytes()
        with pytest.raises(ValueError, match=f"^{name} is not an image that can be read"):
            read_photo(io.BytesIO(content), name)
    assert not {"EPS", "WMF"} & set(photo._formats())
    assert {"JPEG", "PNG", "WEBP", "TIFF", "PPM", "JPEG2000"} <= set(photo._formats())


def special_files(folder: Path) -> list[Path]:
    """What hangs whoever opens it, or never ends."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("only POSIX systems have pipes with names")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(folder / "socket"))
    return [folder / "pipe", folder / "socket", Path("/dev/zero"), Path("/dev/null")]


def test_pipes_sockets_and_devices_are_refused(tmp_path):
    for number, path in enumerate(special_files(tmp_path)):
        link = tmp_path / f"{number}.jpg"
        link.symlink_to(path)
        for read in (read_photo, read_info, count_frames, lambda path: next(read_frames(path))):
            for name in (path, link):
                with pytest.raises(ValueError, match=f"{name} is a pipe, a socket or a device, not a file"):
                    read(name)


def test_pipes_with_any_suffix_are_items_that_cannot_be_read(tmp_path):
    special_files(tmp_path)
    for suffix in ("jpg", "mp4", "tar"):
        os.mkfifo(tmp_path / f"a.{suffix}")
    for source in (tmp_path, tmp_path / "a.*"):
        items = find_items([source], every=1)
        assert sorted(item.path.name for item in items) == ["a.jpg", "a.mp4", "a.tar"]
        for item in items:
            with pytest.raises(ValueError, match="is a pipe, a socket or a device"):
                Reader().read(item)


def test_an_archive_that_goes_away_is_told(tmp_path):
    item = Item("a.tar#1.jpg", tmp_path / "a.tar", tmp_path, offset=512, size=10)
    with pytest.raises(ValueError, match=r"there is no archive at .*a\.tar"):
        Reader().read(item)
