"""``arkit.csv`` has Live Link Face's columns, timecodes at 60 frames per second, and turns of the head as ARKit's."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mofa3d.export.arkit_csv import Take, timecode, write_arkit
from mofa3d.models.arkit import ARKIT


def take_of(head: np.ndarray, weights: np.ndarray | None = None) -> Take:
    count = len(head)
    weights = np.zeros((count, 52)) if weights is None else weights
    eyes = np.tile([[0.1, -0.2], [0.3, 0.4]], (count, 1, 1))
    return Take(np.arange(count) / 25, weights, head, eyes)


def read(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_columns_are_those_of_live_link_face(tmp_path):
    weights = np.zeros((2, 52))
    weights[1, ARKIT.index("jawOpen")] = 0.25
    write_arkit(tmp_path / "new" / "arkit.csv", take_of(np.tile([0.0, 0, 0, 1], (2, 1)), weights))
    first, second = read(tmp_path / "new" / "arkit.csv")
    names = list(first)
    assert names[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert names[16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
    assert names[53:] == [
        "TongueOut",
        *("HeadYaw", "HeadPitch", "HeadRoll"),
        *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
    ]
    assert len(names) == 63
    assert len(set(ARKIT)) == 52
    assert (first["Timecode"], second["Timecode"]) == ("00:00:00:00.000", "00:00:00:02.400")
    assert first["BlendShapeCount"] == "61"
    assert (first["JawOpen"], second["JawOpen"]) == ("0.000000", "0.250000")
    eyes = [float(second[f"{side}Eye{turn}"]) for side in ("Left", "Right") for turn in ("Yaw", "Pitch", "Roll")]
    assert eyes == [0.1, -0.2, 0, 0.3, 0.4, 0]


def test_turns_of_the_head(tmp_path):
    """Camera space is as the viewer sees: x to the right, y up, z to the viewer."""
    looks = {  # where the nose and the crown of the head point
        "HeadYaw": ([math.sin(0.3), 0, math.cos(0.3)], [0, 1, 0]),  # to the subject's left
        "HeadPitch": ([0, -math.sin(0.3), math.cos(0.3)], [0, math.cos(0.3), math.sin(0.3)]),  # down
        "HeadRoll": ([0, 0, 1], [-math.sin(0.3), math.cos(0.3), 0]),  # to the subject's right
    }
    turns = []
    for nose, crown in looks.values():
        turns.append(Rotation.from_matrix(np.column_stack([np.cross(crown, nose), crown, nose])).as_quat())
    write_arkit(tmp_path / "arkit.csv", take_of(np.array(turns)))
    for row, name in zip(read(tmp_path / "arkit.csv"), looks, strict=True):
        for each in looks:
            assert float(row[each]) == pytest.approx(0.3 if each == name else 0, abs=1e-6)


def test_timecodes():
    assert timecode(0) == "00:00:00:00.000"
    assert timecode(1.508333) == "00:00:01:30.500"
    assert timecode(3723.99999) == "01:02:03:59.999"
    assert timecode(59.9999999) == "00:01:00:00.000"


def test_weights_beyond_their_range_are_refused(tmp_path):
    for weights in (np.full((1, 52), 1.1), np.full((1, 52), -0.1), np.full((1, 52), np.nan)):
        with pytest.raises(ValueError, match="expected weights from 0 to 1"):
            write_arkit(tmp_path / "arkit.csv", take_of(np.array([[0.0, 0, 0, 1]]), weights))
    assert not list(tmp_path.iterdir())
