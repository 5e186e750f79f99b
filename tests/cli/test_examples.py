"""`mofa3d examples` writes inputs in which faces are found."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.cli import examples
from mofa3d.cli.main import main
from mofa3d.data.detect import detect_faces
from mofa3d.data.photo import read_photo
from mofa3d.pictures import talking_face
from mofa3d.renderers import make_renderer


def test_writes_a_portrait_and_a_film(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(talking_face, "SECONDS", 0.2)
    folder = tmp_path / "examples"
    assert main(["examples", str(folder)]) == 0
    assert "Grace Hopper" in capsys.readouterr().out
    assert len(detect_faces(read_photo(folder / examples.PORTRAIT))) == 1
    assert (folder / examples.FILM).stat().st_size > 1000
    assert main(["examples", str(folder)]) == 2
    assert "portrait.jpg" in capsys.readouterr().err


def test_the_film_shows_a_face_that_moves():
    render = make_renderer("cpu")
    frames = talking_face.talking_face(render, seconds=0.2, size=128)
    assert frames.shape == (5, 128, 128, 3)
    assert frames.std() > 20
    assert 0.1 < float(np.abs(frames[4].astype(float) - frames[0]).mean()) < 20


@pytest.mark.parametrize("time", [0.0, 1.0, 2.6, 3.9])
def test_movements_are_within_the_units_range(time):
    strengths = talking_face.movements(time)
    assert all(0 <= value <= 1 for value in strengths.values())
    assert (strengths["mouthSmileLeft"] > 0.5) == (time > 3)
