"""The seven points of a scan from each kind of file, and what is said about files that hold none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scanned_faces import PLACES, picked_points, raised

from mofa3d.evaluation.scans.landmarks import NAMES, read_scan_landmarks

POINTS = raised(PLACES)


def test_every_kind_of_file_says_the_same(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(dict(zip(NAMES, POINTS.tolist(), strict=True))))
    (tmp_path / "a.txt").write_text("\n".join(" ".join(map(str, point)) for point in POINTS.tolist()) + "\n\n")
    (tmp_path / "a.pp").write_text(picked_points(POINTS))
    for suffix in (".json", ".txt", ".pp"):
        np.testing.assert_allclose(read_scan_landmarks(tmp_path / f"a{suffix}"), POINTS, atol=1e-5)


def test_json_may_leave_points_out(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"nose_base": [1, 2, 3], "mouth_left": [4, 5, 6], "right_eye_outer": [7, 8, 9]}))
    points = read_scan_landmarks(path)
    assert points[[0, 4, 6]].tolist() == [[7, 8, 9], [1, 2, 3], [4, 5, 6]]
    assert np.isnan(points[[1, 2, 3, 5]]).all()


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "{", "Expecting property name"),
        ("a.json", "[1, 2]", "it is not a JSON object"),
        ("a.json", '{"nose": [1, 2, 3]}', "'nose' is unknown"),
        ("a.json", '{"nose_base": [1, 2]}', r"a point is \[1, 2\]"),
        ("a.json", '{"nose_base": 5}', "not iterable"),
        ("a.json", '{"nose_base": [1, 2, 3], "mouth_left": [4, 5, 6]}', "gives 2 of the seven landmarks"),
        ("a.txt", "1 2 3\n4 5 6\n7 8 9\n", "it has 3 points"),
        ("a.txt", "1 2 x\n" * 7, "could not convert"),
        ("a.txt", "1 2 nan\n" * 7, "a point is"),
        ("a.pp", "<PickedPoints><point x='1' y='2'/></PickedPoints>", r"\(float\(\) argument"),
        ("a.pp", "no XML", "syntax error"),
    ],
)
def test_files_that_hold_none(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_scan_landmarks(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "expected an object from names" in str(caught.value)


def test_file_that_is_missing_or_no_text(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        read_scan_landmarks(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="can't decode"):
        read_scan_landmarks(tmp_path / "a.txt")
