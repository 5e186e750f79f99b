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
from mofa3d.data.landmarks_478 import to_68
from mofa3d.data.locate import locate
from mofa3d.data.photo import read_photo

check = load("check_landmarks")
NAMES = ("Grace_Hopper_0001.png", "Grace_Hopper_0002.png")
needs_dlib = pytest.mark.skipif(not is_installed(), reason="dlib-bin and face_recognition_models are not installed")


@needs_dlib
def test_distance_is_that_of_the_table(tmp_path, portrait, capsys):
    photo = read_photo(portrait)
    points = detect_landmarks(photo, detect_faces(photo)[0]).points
    eyes = np.linalg.norm(points[45] - points[36])
    table = {}
    for name, share in zip(NAMES, (0.03, 0.05), strict=True):  # of the outer-eye distance, to the right
        Image.fromarray(photo).save(tmp_path / name)
        table[name] = points + np.array([share * eyes, 0.0])
    write_landmarks(tmp_path / LANDMARKS_FILE, table)
    for every, mean in ((1, 4), (2, 3)):
        check.main(check.Config(tmp_path, every=every, everyone=True))
        said = capsys.readouterr().out
        assert f"{2 // every} of {2 // every} faces found" in said
        of_dlib = said[said.index("dlib: ") :]
        assert float(re.search(r"mean ([\d.]+) %", of_dlib)[1]) == pytest.approx(mean, abs=0.02)
        assert ("rank correlation" in of_dlib) == (every == 1)


def test_dense_points_and_eyes(tmp_path, portrait, capsys):
    photo = read_photo(portrait)
    Image.fromarray(photo).save(tmp_path / NAMES[0])
    dense = locate(photo, detect_faces(photo)[0]).dense
    write_landmarks(tmp_path / LANDMARKS_FILE, {NAMES[0]: to_68(dense.points)})
    (tmp_path / "eyes.csv").write_text(f"file,state\n{NAMES[0]},open\n{NAMES[0]},closed\n")
    check.main(check.Config(tmp_path, everyone=True, eyes=tmp_path / "eyes.csv"))
    said = capsys.readouterr().out
    assert "mean 0.00 %" in said[said.index("478 to 68") :]
    assert "eyelid opening: AUC 0.5000" in said


def test_photographs_without_given_points(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"has given landmarks; put a landmarks_68\.csv beside them"):
        check.main(check.Config(tmp_path))


def test_area_under_curve():
    area = check.area_under_curve
    truth = np.array([True, True, False, False])
    assert area(np.array([4.0, 3.0, 2.0, 1.0]), truth) == 1
    assert area(np.array([1.0, 4.0, 2.0, 3.0]), truth) == 0.5
    assert area(np.array([1.0, 1.0, 1.0, 1.0]), truth) == 0.5
