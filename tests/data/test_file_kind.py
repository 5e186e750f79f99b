"""Files are known by their first bytes, and by their names only where these say nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from mofa3d.data.file_kind import head_of, is_heif, is_tiff, kind_of, kind_of_head


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    data = io.BytesIO()
    Image.new(mode, (32, 32)).save(data, kind, **options)
    return data.getvalue()


def box(*brands: bytes) -> bytes:
    return (12 + 4 * len(brands)).to_bytes(4, "big") + b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:]) + bytes(99)


HEADS = {
    "photo": [
        box(b"heic", b"mif1"), box(b"mif1", b"miaf", b"heic"), box(b"avif"), b"MM\0+" + bytes(9), b"P5 2 2 255 abcd",
        b"P6\n# by a camera\n2 2\n255\n", b"\xff\x4f\xff\x51\0\0",
    ],
    "video": [
        box(b"isom", b"avc1"), box(b"qt  "), box(b"3gp5"), bytes(4) + b"moov" + bytes(9), b"RIFF\0\0\0\0AVI LIST",
        b"\x1a\x45\xdf\xa3\x9f", b"FLV\x01\x05", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", b"\0\0\x01\xba\x44",
        (b"G" + bytes(187)) * 3, (bytes(4) + b"G" + bytes(187)) * 3, b"OggS" + bytes(24) + b"\x80theora",
    ],
    "raw": [box(b"crx "), b"FUJIFILMCCD-RAW 0201", b"IIU\0" + bytes(9), b"II*\0\x10\0\0\0CR\x02\0"],
    "archive": [bytes(257) + b"ustar\x0000"],
    "": [
        b"", b"text", b"BMW, Bericht ueber nichts", b"P3 is a phase", b"RIFF\0\0\0\0WAVE", box(b"M4A "), b"8BPS\0\x01",
        b"Gut" * 200, b"OggS" + bytes(24) + b"\x01vorbis",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "head"), [(kind, head) for kind, heads in HEADS.items() for head in heads])
def test_content_tells(kind, head):
    assert kind_of_head(head, Path("a.unknown")) == kind


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
def test_what_pillow_writes_are_photographs(kind, tmp_path):
    (tmp_path / "a.txt").write_bytes(encoded(kind))
    assert kind_of(tmp_path / "a.txt") == "photo"
    assert is_tiff(head_of(tmp_path / "a.txt")) == (kind == "TIFF")
    assert not is_heif(head_of(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.JPG", "photo"),
        ("a.heic", "photo"),
        ("a.mp4", "video"),
        ("a.tar", "archive"),
        ("a.NEF", "raw"),
        ("a.doc", ""),
    ],
)
def test_names_tell_where_content_says_nothing(name, kind, tmp_path):
    assert kind_of(tmp_path / name) == kind  # not there
    (tmp_path / name).write_bytes(b"<!doctype html><title>404</title>")
    assert kind_of(tmp_path / name) == kind


def test_raw_photographs_are_tiff_files_by_their_content():
    tiff = encoded("TIFF")
    assert [kind_of_head(tiff, Path(name)) for name in ("a.tif", "a.DNG", "a.arw")] == ["photo", "raw", "raw"]
    assert kind_of_head(encoded("JPEG"), Path("a.raw")) == "photo"
