"""The package as users install it: outside the checkout, without MakeHuman's data, a network or a home to write to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST = 70e6  # bytes
TRACKED = ("mofa3d", "renderers", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that the checkout gets no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in TRACKED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    build = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    made = subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    (file,) = folder.glob("*.whl")
    return file


def test_is_small_enough_to_download_and_has_all_data(wheel):
    assert wheel.stat().st_size < LARGEST
    names = zipfile.ZipFile(wheel).namelist()
    for data in ("models/makehuman/geometry.safetensors", "models/makehuman/reflectance.safetensors", "py.typed"):
        assert f"mofa3d/{data}" in names
    assert any(name.startswith("mofa3d/encoders/weights/") and name.endswith(".safetensors") for name in names)
    assert not [name for name in names if name.startswith(("tests", "experiments", "runs"))]


def test_reconstructs_a_face_with_no_network_and_no_home(wheel, portrait, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    folder = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(folder)
    # What mofa3d depends on, and not the checkout: .pth files of that folder are not read.
    (folder / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "home")  # below a file: not even root can make it
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("MOFA3D", "PYTHON", "XDG"))},
        "HOME": nowhere,
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    python = tmp_path / "venv" / "bin" / "python"
    where = [str(python), "-c", "import mofa3d; print(mofa3d.__file__)"]
    printed = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(printed.stdout.strip()).is_relative_to(tmp_path)
    command = [str(python), "-m", "mofa3d", "reconstruct", str(portrait), "--out", "faces"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "faces").rglob("*.glb"))) == 1
