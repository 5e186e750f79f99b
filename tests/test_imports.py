"""Importing the library is quiet and loads nothing that is optional or slow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(program: str) -> str:
    """What a fresh interpreter prints, with every warning an error."""
    command = [sys.executable, "-W", "error", "-c", program]
    options = {"capture_output": True, "text": True, "cwd": ROOT, "timeout": 120}
    result = subprocess.run(command, check=False, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_library_loads_no_backend_and_no_optional_package():
    unwanted = {"renderers", "numba", "pytorch3d._C", "nvdiffrast", "dlib", "face_alignment", "h5py", "anny"}
    unwanted |= {
        "onnx",
        "onnxruntime",
        "nicegui",
        "torchvision",
        "trimesh",
        "triton",
        "tensorboard",
        "mofa3d.api",
        "av",
    }
    program = (
        "import sys, warnings\n"
        "warnings.simplefilter('ignore')  # other packages' own\n"
        "import mofa3d\n"
        f"print({unwanted!r} & sys.modules.keys())"
    )
    assert run(program).strip() == "set()"


def test_import_sets_no_environment_variable():
    program = (
        "import os\n"
        "before = set(os.environ)\n"
        "import mofa3d\n"
        "print(set(os.environ) - before)\n"
        "import mofa3d.decoder\n"
        "print({name for name in set(os.environ) - before if 'OMP' in name})"  # others' packages set their own
    )
    assert run(program).split() == ["set()", "set()"]


def test_normals_warn_about_nothing():
    program = (
        "import torch\n"
        "from mofa3d.kernels.normals import VertexNormals\n"
        "points = torch.eye(3)[None].requires_grad_()\n"
        "normals = VertexNormals(torch.tensor([[0, 1, 2]]), 3)(points)\n"
        "normals[0, 0, 0].backward()\n"
        "print(normals[0, 0].tolist())"
    )
    assert [round(float(x), 3) for x in run(program).strip("[]\n").split(",")] == [0.577] * 3
