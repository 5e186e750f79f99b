"""Compiling nvdiffrast takes minutes; here only what it is told and what it says when something is missing."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
from pathlib import Path

import numpy
import pytest
from programs import load

build = load("build_nvdiffrast")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder in place of that of NVIDIA's packages."""
    spec = importlib.machinery.ModuleSpec("nvidia", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nvidia" else None)
    return tmp_path


def test_toolkit_is_where_the_compiler_is(packages):
    (packages / "cu13" / "bin").mkdir(parents=True)
    (packages / "cudnn" / "bin").mkdir(parents=True)
    (packages / "cu13" / "bin" / "nvcc").touch()
    assert build.toolkit() == packages / "cu13"


def test_missing_compiler(packages):
    with pytest.raises(ValueError, match=r"no CUDA compiler .*pip install 'mofa3d\[cuda-build\]'"):
        build.toolkit()


def test_linker_finds_the_newest_runtime(tmp_path):
    home, folder = tmp_path / "cu13", tmp_path / "links"
    folder.mkdir()
    (home / "lib").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"contains no libcudart.so"):
        build.link_runtime(home, folder)
    for version in ("12", "13"):
        (home / "lib" / f"libcudart.so.{version}").write_text(version)
    build.link_runtime(home, folder)
    assert (folder / "libcudart.so").read_text() == "13"


def test_what_cannot_be_loaded_is_no_success(tmp_path):
    (tmp_path / "plugin.so").write_text("no library")
    for name in ("plugin", "nowhere"):
        with pytest.raises(ImportError):
            build.load_library(tmp_path, name)


def test_libraries_are_loaded(tmp_path):
    [library] = (Path(numpy.__file__).parent / "_core").glob("_simd*.so")  # any extension will do
    shutil.copyfile(library, tmp_path / "_simd.so")
    assert build.load_library(tmp_path, "_simd") == str(tmp_path / "_simd.so")
