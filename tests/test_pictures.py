"""The pictures in README and docs show what the code does: they are drawn again and compared."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import draw_faces
from mofa3d.cli.main import main

ROOT = Path(__file__).parents[1]
ALIKE = 4.0  # levels of 255 by which pictures may differ on average; a processor's rounding makes far less of it

pytestmark = pytest.mark.slow


def assert_alike(drawn: Path, shown: str) -> None:
    ours, theirs = (np.asarray(Image.open(path).convert("RGB"), float) for path in (drawn, ROOT / "docs" / shown))
    assert ours.shape == theirs.shape, f"docs/{shown} has another size: draw it again"
    assert np.abs(ours - theirs).mean() < ALIKE, f"docs/{shown} shows something else: draw it again"


def test_portrait(portrait, tmp_path):
    """`mofa3d reconstruct grace_hopper.jpg`"""
    assert main(["reconstruct", str(portrait), "--out", str(tmp_path)]) == 0
    assert_alike(tmp_path / "grace_hopper" / "panels.png", "hopper.png")


def test_faces_of_the_model(tmp_path):
    drawn = tmp_path / "model.png"
    assert main(["model", "preview", "makehuman", "--samples-only", "--seed", "3", "--out", str(drawn)]) == 0
    assert_alike(drawn, "model.png")


@pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="scikit-image, whose photograph it is")
def test_astronaut(tmp_path):
    from skimage.data import astronaut

    photo, drawn = tmp_path / "astronaut.png", tmp_path / "drawn.png"
    Image.fromarray(astronaut()).save(photo)
    draw_faces.main(draw_faces.Config(photo, out=drawn))
    assert_alike(drawn, "astronaut.png")
