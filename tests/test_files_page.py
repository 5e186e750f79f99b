"""The ten lines of docs/files.md turn a photograph into the vertices that mofa3d gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mofa3d
from mofa3d.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "files.md"

pytest.importorskip("onnxruntime")


@pytest.mark.slow
def test_vertices_with_numpy_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["examples", "examples"]) == 0
    assert main(["reconstruct", "examples/portrait.jpg", "--out", "faces"]) == 0
    assert main(["export-encoder", "--out", "encoder.onnx"]) == 0
    assert main(["model", "convert", "makehuman", "--out", "model.safetensors"]) == 0
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict = {}
    exec(lines, found)
    expected = mofa3d.reconstruct("examples/portrait.jpg").vertices.numpy()
    apart = np.linalg.norm(found["vertices"] - expected, axis=1)
    average = np.linalg.norm(found["model"]["mean_shape"] - expected, axis=1)
    assert apart.mean() < 0.25 * average.mean()  # the crop's roll of 3° is left out
