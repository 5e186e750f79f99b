"""Two hundred awkward and damaged files: each is used as it should be or listed with its reason."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mofa3d.data.corpus import Corpus
from mofa3d.data.photo import MAX_PIXELS, read_photo
from mofa3d.data.prepare import PrepareConfig, prepare
from mofa3d.data.prune import Limits

KEEP = PrepareConfig(landmarks="none", limits=Limits(min_color=0, duplicate_bits=-1))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that says it has side × side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(bytes(1000)), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks.items())


def turned(image: Image.Image, orientation: int) -> bytes:
    """A JPEG that a viewer shows upright because of its EXIF orientation."""
    undo = {
        1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270],
    }  # fmt: skip
    for step in undo[orientation]:
        image = image.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", quality=95, exif=exif)


def good_files(face: Image.Image) -> dict[str, bytes]:
    """Unusual files in which the face must be found."""
    grey = np.asarray(face.convert("L"))
    _, deep = cv2.imencode(".png", np.asarray(face)[..., ::-1].astype(np.uint16) * 257)
    other = face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    files = {f"exif {n} {i}.jpg": turned(face, n) for n in range(1, 9) for i in range(5)}
    for i in range(5):
        files |= {
            f"deep grey {i}.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
            f"deep colour {i}.png": deep.tobytes(),
            f"cmyk {i}.jpg": encoded(face.convert("CMYK"), "JPEG", quality=95),
            f"rgba {i}.png": encoded(face.convert("RGBA"), "PNG"),
            f"palette {i}.png": encoded(face.quantize(256), "PNG"),
            f"animated {i}.gif": encoded(face, "GIF", save_all=True, append_images=[other]),
            f"tiff {i}.tif": encoded(face, "TIFF"),
            f"wrong suffix {i}.jpg": encoded(face, "PNG"),
            f"ordner ü {i}/ein  gesicht {i} 顔 '\"$.jpg": encoded(face, "JPEG", quality=95),
            f"progressive {i}.JPG": encoded(face, "JPEG", quality=95, progressive=True),
        }
    return files


def bad_files(face: Image.Image) -> dict[str, bytes]:
    """Files without a usable face."""
    jpeg, random = encoded(face, "JPEG", quality=90), np.random.default_rng(0)
    files = {f"cut {i}.jpg": jpeg[: 400 + (len(jpeg) - 2000) * i // 40] for i in range(40)}
    files |= {f"noise {i}.jpg": random.bytes(int(random.integers(1, 4000))) for i in range(20)}
    for i in range(5):
        files |= {
            f"empty {i}.jpg": b"",
            f"text {i}.jpg": b"This is no photograph.\n" * i,
            f"html {i}.png": b"<!doctype html><title>404</title>",
            f"tiny {i}.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
            f"thin {i}.png": encoded(Image.new("RGB", (30_000, 10)), "PNG"),
            f"high {i}.png": encoded(Image.new("RGB", (3, 30_000)), "PNG"),
            f"bomb {i}.png": bomb(20_000 + i),
            f"zeros {i}.jpg": bytes(5000),
            f"video {i}.mp4": b"\x00\x00\x00\x18ftypmp42" + bytes(100),
            f"archive {i}.tar": b"ustar" * 200,
        }
    return files


@pytest.fixture(scope="module")
def face(portrait) -> Image.Image:
    return Image.open(portrait).crop((100, 60, 440, 400)).resize((160, 160))


@pytest.fixture(scope="module")
def prepared(face, tmp_path_factory) -> tuple[Corpus, dict[str, bytes], dict[str, bytes]]:
    root = tmp_path_factory.mktemp("damaged") / "files"
    good, bad = good_files(face), bad_files(face)
    for name, data in {**good, **bad}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for i in range(5):
        (root / f"loop {i}.jpg").symlink_to(root / f"pool {i}.jpg")
        (root / f"pool {i}.jpg").symlink_to(root / f"loop {i}.jpg")
        bad |= {f"loop {i}.jpg": b"", f"pool {i}.jpg": b""}
    (root / "circle").symlink_to(root)
    return prepare([root], root.parent / "corpus", KEEP, workers=1), good, bad


def names(keys: list[str]) -> set[str]:
    return {key.removeprefix("files/") for key in keys}


def test_there_are_at_least_two_hundred(prepared):
    _, good, bad = prepared
    assert len(good) + len(bad) >= 200


def test_good_ones_are_used(prepared):
    corpus, good, _ = prepared
    assert good.keys() - names(corpus.photos) == set()


def test_upright_whatever_the_file_says(prepared):
    corpus, _, _ = prepared
    crops = {photo: corpus[i]["image"] for i, photo in enumerate(corpus.photos)}
    upright = crops["files/exif 1 0.jpg"]
    for photo, crop in crops.items():
        if photo.startswith(("files/exif", "files/deep colour", "files/rgba", "files/ordner", "files/tiff")):
            assert float((crop - upright).abs().mean()) < 0.03, photo


def test_bad_ones_are_listed_with_a_reason_or_hold_enough_of_a_face(prepared):
    corpus, good, bad = prepared
    failures = {failure.photo.removeprefix("files/"): failure.reason for failure in corpus.failures}
    assert failures.keys() | names(corpus.photos) == good.keys() | bad.keys()
    assert failures.keys() & names(corpus.photos) == set()
    assert {name for name in names(corpus.photos) if name in bad} == set()
    assert all(len(reason) > 10 for reason in failures.values())
    kinds = Counter(name.split()[0] for name in failures)
    assert kinds["cut"] == 40
    assert kinds["bomb"] == 5


def test_bombs_are_refused_by_their_size(prepared, tmp_path):
    corpus, _, _ = prepared
    reasons = {failure.photo: failure.reason for failure in corpus.failures}
    for i in range(5):
        assert f"more than {MAX_PIXELS}" in reasons[f"files/bomb {i}.png"]
    (tmp_path / "bomb.png").write_bytes(bomb(20_000))
    with pytest.raises(ValueError, match=f"more than {MAX_PIXELS} pixels|pixels, more than {MAX_PIXELS}"):
        read_photo(tmp_path / "bomb.png")


def test_file_that_may_not_be_read(tmp_path, face, monkeypatch):
    (tmp_path / "files").mkdir()
    for name in ("a.jpg", "secret.jpg"):
        face.save(tmp_path / "files" / name, quality=95)
    opened = Image.open

    def closed(path, *rest):  # root may read everything, so permissions alone would not do
        if Path(path).name == "secret.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest)

    monkeypatch.setattr(Image, "open", closed)
    corpus = prepare([tmp_path / "files"], tmp_path / "corpus", KEEP, workers=1)
    assert corpus.photos == ["files/a.jpg"]
    assert "Permission denied" in corpus.failures[0].reason
