"""Whose photographs are compared, and the table of how well they fit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from programs import load

from mofa3d.errors import InputError

check = load("check_same_person")


def test_people_with_enough_photographs(tmp_path):
    for name, count in {"Ann_Lee": 5, "Bob_Roe": 2, "Cid_Fox": 3}.items():
        for number in range(count):
            Image.new("RGB", (4, 4)).save(tmp_path / f"{name}_{number:04d}.png")
    ann, cid = check.by_person(tmp_path, 3)
    assert [path.stem for path in ann] == ["Ann_Lee_0000", "Ann_Lee_0002", "Ann_Lee_0004"]
    assert [path.stem for path in cid] == ["Cid_Fox_0000", "Cid_Fox_0001", "Cid_Fox_0002"]
    with pytest.raises(InputError, match=r"nobody in .* has 6 photographs; lower --photographs"):
        check.main(check.Config(tmp_path, photographs=6))
    with pytest.raises(InputError, match="photographs is 2"):
        check.Config(tmp_path, photographs=2)


def test_table():
    errors = np.array([[[2.0, 0.2], [1.0, 0.3]], [[4.0, 0.4], [3.0, 0.1]]])
    lines = check.report(errors).splitlines()
    assert lines[0] == "| 2 people | from one photograph | from several | better for |"
    assert lines[2] == "| points, px | 3.0000 | 2.0000 | 100 % |"
    assert lines[3] == "| skin, RGB | 0.3000 | 0.2000 | 50 % |"
