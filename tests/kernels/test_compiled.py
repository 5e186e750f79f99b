"""Kernels run wherever they are installed; what is compiled is kept where that is possible."""

from __future__ import annotations

import errno
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from numba.core.caching import IndexDataCacheFile

ROOT = Path(__file__).parents[2]
SOURCE = """
from mofa3d.kernels.compiled import compiled


@compiled(nogil=True)
def double(x):
    return 2 * x
"""


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No home, no cache, no other folder to keep anything in."""
    (tmp_path / "file").touch()
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "MOFA3D_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")


@pytest.fixture
def package(tmp_path) -> Path:
    """A folder of source beside which nothing can be kept."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "kernel.py").write_text(SOURCE)
    (folder / "__pycache__").touch()
    return folder


def load(folder: Path):
    """The kernel, as a fresh process finds it."""
    spec = importlib.util.spec_from_file_location("kernel", folder / "kernel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.double


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.rglob("*") if path.is_file())


def test_kernel_runs_where_nothing_can_be_written(nowhere, package):
    assert load(package)(3) == 6


def test_results_are_kept_in_the_cache_folder_if_not_beside_the_source(nowhere, package, monkeypatch, tmp_path):
    monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path / "cache"))
    assert load(package)(3) == 6
    assert files(tmp_path / "cache" / "numba") == [".nbc", ".nbi"]
    again = load(package)
    assert again(4) == 8
    assert sum(again.stats.cache_hits.values()) == 1
    assert numba.config.CACHE_DIR == ""  # which is the process's, not ours


def test_results_are_kept_beside_the_source_where_that_is_possible(nowhere, package, monkeypatch, tmp_path):
    monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path / "cache"))
    (package / "__pycache__").unlink()
    assert load(package)(3) == 6
    assert [suffix for suffix in files(package / "__pycache__") if suffix != ".pyc"] == [".nbc", ".nbi"]
    assert not (tmp_path / "cache").exists()


def test_folder_of_the_user_for_numba_comes_first(nowhere, package, monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    assert load(package)(3) == 6
    assert files(tmp_path / "numba") == [".nbc", ".nbi"]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_results_are_compiled_again(nowhere, package, monkeypatch, tmp_path, suffix):
    monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path / "cache"))
    assert load(package)(3) == 6
    (file,) = (tmp_path / "cache").rglob(f"*{suffix}")
    file.write_bytes(b"noise")
    assert load(package)(4) == 8
    whole = load(package)
    assert whole(5) == 10
    assert sum(whole.stats.cache_hits.values()) == 1


def test_full_disk_keeps_no_kernel_from_running(nowhere, package, monkeypatch, tmp_path):
    def refuse(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(IndexDataCacheFile, "save", refuse)
    assert load(package)(3) == 6


def test_package_that_cannot_be_written_is_imported_and_used(nowhere, tmp_path):
    without = shutil.ignore_patterns("__pycache__", "*.nb?", "*.safetensors")
    for name in ("mofa3d", "renderers"):
        shutil.copytree(ROOT / name, tmp_path / "site" / name, ignore=without)
        for room in {module.parent for module in (tmp_path / "site" / name).rglob("*.py")}:
            (room / "__pycache__").touch()
    program = (
        "import numpy as np, mofa3d.fitting.jacobian_numba, mofa3d.training.adadelta_numba\n"
        "import mofa3d.kernels.vertex_loss.cpu_numba\n"
        "import mofa3d.renderers.antialias, mofa3d.renderers.cpu_rasterizer, mofa3d.renderers.rasterized\n"
        "from mofa3d.kernels.surface_numba import backward as kernel\n"
        "print(mofa3d.__file__, type(kernel._cache).__name__)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    run = subprocess.run(command, cwd=tmp_path / "site", capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(tmp_path / "site" / "mofa3d" / "__init__.py"), "NullCache"]
