"""Photographs to prepare, and where to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from prepared_corpus import PHOTOS

from mofa3d.data.corpus import examine
from mofa3d.data.detect import detect_faces


@pytest.fixture
def root(tmp_path, portrait) -> Path:
    """A folder with three copies of the portrait."""
    for name in PHOTOS:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(portrait, path)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "corpus"


@pytest.fixture
def searched(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the photographs in which faces were searched."""
    shapes = []

    def spy(photo, *options):
        shapes.append(photo.shape)
        return detect_faces(photo, *options)

    monkeypatch.setattr(examine, "detect_faces", spy)
    return shapes
