"""A small face-like model that every test can afford, and codes for it."""

from __future__ import annotations

import torch

from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel
from mofa3d.semantic_code import CodeSizes, SemanticCode

TEETH = (0.75, 0.7, 0.62)  # display RGB


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


def make_toothed_model() -> tuple[MorphableModel, torch.Tensor]:
    """A tiny face, and which of its vertices are white in everybody."""
    model = make_tiny_model(40)
    teeth = model.mean_shape[:, :2].square().sum(dim=1).sqrt() < 25
    model.reflectance_basis[teeth] = 0.0
    model.mean_reflectance[teeth] = torch.tensor(TEETH)
    return model, teeth
