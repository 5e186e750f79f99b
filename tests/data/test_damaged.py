"""Two hundred awkward and damaged files: each is used as it should be or listed with its reason."""

from __future__ import annotations

from collections import Counter

import pytest
from odd_files import bad_files, bomb, good_files
from PIL import Image

from mofa3d.data import photo as photo_module
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.prepare import prepare
from mofa3d.data.corpus.prune import Limits
from mofa3d.data.photo import MAX_PIXELS, read_photo

KEEP = PrepareConfig(landmarks="none", limits=Limits(min_color=0, duplicate_bits=-1))


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
        alike = ("exif", "deep color", "deep floats", "rgba", "ordner", "tiff", "jfif", "avif", "without")
        if photo.removeprefix("files/").startswith(alike):
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

    def closed(path, *options):  # root may read everything, so permissions alone would not do
        if path.name == "secret.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *options)

    monkeypatch.setattr(photo_module, "open", closed, raising=False)
    corpus = prepare([tmp_path / "files"], tmp_path / "corpus", KEEP, workers=0)
    assert corpus.photos == ["files/a.jpg"]
    assert "Permission denied" in corpus.failures[0].reason
