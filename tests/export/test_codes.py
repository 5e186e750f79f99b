"""Codes that are written come back with the same numbers."""

from __future__ import annotations

import json

import numpy as np
import torch

from conftest import make_code
from mofa3d.export import write_code
from mofa3d.semantic_code import SemanticCode


class TestCode:
    def test_round_trip(self, tmp_path, tiny_code):
        write_code(tmp_path / "new" / "code.json", tiny_code[1:2], {"photo": "ü.jpg", "crop": {"scale": 2.0}})
        content = json.loads((tmp_path / "new" / "code.json").read_text(encoding="utf-8"))
        assert (content.pop("photo"), content.pop("crop")) == ("ü.jpg", {"scale": 2.0})
        again = SemanticCode(**{name: torch.tensor([value]) for name, value in content.items()})
        assert torch.equal(again.to_vector(), tiny_code[1:2].to_vector())

    def test_blocks_have_their_shapes(self, tmp_path):
        write_code(tmp_path / "code.json", make_code(1, dtype=torch.float32))
        content = json.loads((tmp_path / "code.json").read_text())
        shapes = {name: np.shape(value) for name, value in content.items()}
        assert shapes == {
            "shape": (5,),
            "expression": (4,),
            "reflectance": (6,),
            "rotation": (3,),
            "translation": (3,),
            "illumination": (9, 3),
        }
