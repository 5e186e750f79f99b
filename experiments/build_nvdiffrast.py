"""Compile nvdiffrast on a machine that needs neither a GPU nor a CUDA toolkit, only NVIDIA's PyPI packages.

    make cuda-build                              # installs the packages of the extra "cuda-build" and runs this file
    TORCH_CUDA_ARCH_LIST="8.6;9.0" make cuda-build

nvdiffrast compiles itself when it is first used, into the folder that PyTorch keeps extensions in; this only makes it
do so now. A C++ compiler is needed (Debian: g++).
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from mofa3d.errors import InputError

ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"  # without a GPU there is none to ask; + newer ones compile the last at first use
PACKAGES = "pip install 'mofa3d[cuda-build]'"


def toolkit() -> Path:
    """Folder of the CUDA compiler that NVIDIA's PyPI packages install.

    Raises:
        InputError: they are missing.
    """
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for compiler in sorted(Path(folder).glob("cu*/bin/nvcc")):
            return compiler.parent.parent
    raise InputError(f"no CUDA compiler among the installed packages; run `{PACKAGES}`")


def link_runtime(home: Path, folder: Path) -> None:
    """Give the linker the name libcudart.so, which the packages, made for running only, leave out.

    Raises:
        InputError: no CUDA runtime in the toolkit.
    """
    versions = sorted((home / "lib").glob("libcudart.so.*"))
    if not versions:
        raise InputError(f"{home / 'lib'} contains no libcudart.so.*; run `{PACKAGES}`")
    (folder / "libcudart.so").symlink_to(versions[-1])


def build() -> str:
    """Compile the plugin and load it; returns the file.

    Raises:
        InputError: a package is missing.
        RuntimeError: the compiler's own report.
        ImportError: what was compiled cannot be loaded.
    """
    home = toolkit()
    with tempfile.TemporaryDirectory() as folder:
        link_runtime(home, Path(folder))
        # Read by PyTorch's extension builder when it is imported, which nvdiffrast does.
        os.environ["CUDA_HOME"] = str(home)
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", ARCHITECTURES)
        os.environ["LIBRARY_PATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("LIBRARY_PATH")]))
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # ninja's

        import torch

        from mofa3d.renderers.nvdiffrast_rasterizer import Operations

        operations = Operations(torch.device("cpu")).functions.ops
        try:
            return operations._get_plugin().__file__
        except ModuleNotFoundError as error:
            # This release looks for what it has compiled among the imported modules, where PyTorch no longer puts it.
            return load_library(Path(torch.utils.cpp_extension._get_build_directory(error.name, False)), error.name)


def load_library(folder: Path, name: str) -> str:
    """Load a compiled extension, which shows that it is whole; returns its file.

    Raises:
        ImportError: it is not there, or lacks a symbol.
    """
    path = folder / f"{name}.so"
    spec = importlib.util.spec_from_file_location(name, path)
    importlib.util.module_from_spec(spec)
    return str(path)


if __name__ == "__main__":
    try:
        print(f"compiled {build()}")
    except InputError as error:
        sys.exit(f"error: {error}")
