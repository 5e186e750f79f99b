"""Read binary glTF by the words of its specification, and ask the Khronos validator about it."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
SCRIPT = Path(__file__).with_name("validator.js")


class Glb:
    """The tree of a file and the arrays that it points to."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, length = struct.unpack("<4sII", content[:12])
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack("<I4s", content[12:20])
        assert kind == b"JSON"
        self.tree = json.loads(content[20 : 20 + size])
        _, kind = struct.unpack("<I4s", content[20 + size : 28 + size])
        assert kind == b"BIN\0"
        self.data = content[28 + size :]
        [self.mesh] = self.tree["meshes"]
        [self.primitive] = self.mesh["primitives"]

    def array(self, accessor: int) -> np.ndarray:
        """As it is stored, without the zeros of sparse accessors being left out."""
        about = self.tree["accessors"][accessor]
        shape = about["count"], WIDTHS[about["type"]]
        kind = COMPONENTS[about["componentType"]]
        if "sparse" not in about:
            return np.frombuffer(self.view(about["bufferView"]), kind).reshape(shape)
        sparse, values = about["sparse"], np.zeros(shape, kind)
        places, stored = sparse["indices"], sparse["values"]
        rows = np.frombuffer(self.view(places["bufferView"]), COMPONENTS[places["componentType"]])
        assert len(rows) == sparse["count"]
        assert (np.diff(rows.astype(int)) > 0).all()
        values[rows] = np.frombuffer(self.view(stored["bufferView"]), kind).reshape(-1, shape[1])
        return values

    def real(self, accessor: int) -> np.ndarray:
        """As it is meant: normalised whole numbers from -1 to 1."""
        about, values = self.tree["accessors"][accessor], self.array(accessor)
        return values / np.iinfo(values.dtype).max if about.get("normalized") else values

    def displacements(self) -> np.ndarray:
        """(K, M, 3) metres: what the morph targets do to positions."""
        return np.stack([self.real(target["POSITION"]) for target in self.primitive["targets"]])

    def attribute(self, name: str) -> np.ndarray:
        return self.array(self.primitive["attributes"][name])

    def view(self, number: int) -> bytes:
        view = self.tree["bufferViews"][number]
        start = view.get("byteOffset", 0)
        return self.data[start : start + view["byteLength"]]


@cache
def _validator() -> tuple[str, str] | None:
    """Node and the module, if both are there."""
    node, module = shutil.which("node"), os.environ.get("MOFA3D_GLTF_VALIDATOR", "gltf-validator")
    if node is None:
        return None
    found = subprocess.run([node, "-e", "require(process.argv[1])", module], capture_output=True, check=False)
    return None if found.returncode else (node, module)


def validate(path: Path) -> dict:
    """The report of the npm package gltf-validator, which MOFA3D_GLTF_VALIDATOR or node itself finds."""
    found = _validator()
    if found is None:
        pytest.skip("npm install gltf-validator, and set MOFA3D_GLTF_VALIDATOR to its folder in node_modules")
    node, module = found
    result = subprocess.run([node, str(SCRIPT), module, str(path)], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)
