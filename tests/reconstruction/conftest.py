"""Photographs of a batch, and what works on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from batch_work import Work
from PIL import Image


@pytest.fixture
def photos(tmp_path) -> Path:
    """The red byte of a photograph says how many faces it shows."""
    for name, faces in {"a.png": 1, "b.png": 3, "sub/A.png": 1, "none.png": 0}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (faces, 0, 0)).save(path)
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    (tmp_path / "photos" / "film.mp4").write_bytes(b"frames")
    return tmp_path / "photos"


@pytest.fixture
def work(tiny_model) -> Work:
    return Work(tiny_model)
