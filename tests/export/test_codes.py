"""Codes that are written come back with the same numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny_model import make_code

from mofa3d.export import read_code, write_code
from mofa3d.semantic_code import CodeSizes, SemanticCode


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


class TestReading:
    @pytest.fixture
    def path(self, tmp_path, tiny_code):
        write_code(tmp_path / "code.json", tiny_code[:1], {"photo": "a.jpg"})
        return tmp_path / "code.json"

    def change(self, path, **blocks) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **blocks}))

    def test_same_numbers_and_what_else_is_there(self, path, tiny_code):
        code, extra = read_code(path, CodeSizes(5, 4, 6))
        assert torch.equal(code.to_vector(), tiny_code[:1].to_vector())
        assert extra == {"photo": "a.jpg"}

    def test_other_sizes(self, path):
        with pytest.raises(ValueError, match=r"'shape' in .*code.json has 5 numbers, expected 80; is it a code of"):
            read_code(path, CodeSizes())
        self.change(path, illumination=[[0.0] * 3] * 8)
        with pytest.raises(ValueError, match=r"'illumination' in .* has 8 × 3 numbers, expected 9 × 3"):
            read_code(path)

    @pytest.mark.parametrize(("value", "complaint"), [
        ("0.1", "is not an array of numbers"),
        ([0.0, None, 0.0], "is not an array of numbers"),
        ([0.0, [1.0], 0.0], "is not an array of numbers"),
        ([0.0, 1.0], "has 2 numbers, expected 3"),
        ([0.0, 1e400, 0.0], "has values that are not finite"),
    ])  # fmt: skip
    def test_wrong_block(self, path, value, complaint):
        self.change(path, rotation=value)
        with pytest.raises(ValueError, match=rf"'rotation' in .*code.json {complaint}"):
            read_code(path)

    @pytest.mark.parametrize(("content", "complaint"), [
        ("{", "is no JSON"), ("[1]", "contains a list, expected a semantic code"), ("{}", "has no 'shape'"),
        ("[" * 100_000, "is no JSON"),
    ])  # fmt: skip
    def test_wrong_file(self, path, content, complaint):
        path.write_text(content)
        with pytest.raises(ValueError, match=rf"code.json {complaint}"):
            read_code(path)

    def test_missing_file(self, tmp_path):
        with pytest.raises(ValueError, match="there is no semantic code at"):
            read_code(tmp_path / "code.json")
