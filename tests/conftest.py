"""What all tests share: checked types and shapes, and fixtures."""

from __future__ import annotations

import importlib.util
import inspect
import os
from pathlib import Path

import numba
import pytest
import torch
from jaxtyping import config, install_import_hook
from matplotlib import cbook

_njit = numba.njit


def _njit_without_checks(function=None, **options):
    """The import hook below wraps every function, which Numba cannot compile: kernels get theirs back."""
    if function is None:
        return lambda function: _njit_without_checks(function, **options)
    return _njit(**options)(inspect.unwrap(function))


numba.njit = _njit_without_checks

if importlib.util.find_spec("triton") is not None:
    if not torch.cuda.is_available():
        # Kernels run on the CPU, as Python; Triton's own functions become what this says when they are imported.
        os.environ.setdefault("TRITON_INTERPRET", "1")
    import triton

    _jit = triton.jit
    triton.jit = lambda function=None, **options: _jit(function and inspect.unwrap(function), **options)

# Before the first import of the checked packages: their annotated shapes and types are verified at every call. As for
# static type checkers, an int will do for a float.
install_import_hook(["mofa3d"], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from tiny_model import make_code, make_tiny_model  # noqa: E402
from tiny_runs import make_tiny_run  # noqa: E402

import mofa3d  # noqa: E402
from mofa3d.fitting import color_fit  # noqa: E402
from mofa3d.models import load_model  # noqa: E402
from mofa3d.morphable_model import MorphableModel  # noqa: E402
from mofa3d.semantic_code import SemanticCode  # noqa: E402


@pytest.fixture
def tiny_code() -> SemanticCode:
    return make_code(dtype=torch.float32)


@pytest.fixture
def tiny_code_double() -> SemanticCode:
    return make_code()


@pytest.fixture
def tiny_model() -> MorphableModel:
    return make_tiny_model()


@pytest.fixture
def tiny_model_double() -> MorphableModel:
    return make_tiny_model(dtype=torch.float64)


@pytest.fixture
def colors_of_few_vertices(monkeypatch):
    """Let colors be fitted to the tiny model, which has few vertices."""
    monkeypatch.setattr(color_fit, "EVERY", 1)
    monkeypatch.setattr(color_fit, "FEWEST", 20)


@pytest.fixture
def unchecked_types():
    """Switch the runtime checks of annotations off, for tests of our own errors about wrong arguments."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def default_model() -> MorphableModel:
    """The real default model, of the package."""
    return load_model("makehuman")


@pytest.fixture(scope="session")
def portrait() -> Path:
    """A photograph of Grace Hopper by the US Navy (public domain), 512 × 600 pixels; Matplotlib ships it."""
    return Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """The folder of a training of the tiny model's encoder, which nobody changes."""
    return make_tiny_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def face(tiny_run, portrait) -> mofa3d.Face:
    """The portrait's face as that encoder sees it."""
    return mofa3d.reconstruct(portrait, checkpoint=tiny_run)
