"""nvdiffrast's documented contract as a slow reference on the CPU, in any floating-point type.

Only what the backend uses. `rasterize` and `interpolate` are differentiable as nvdiffrast's are: barycentric
coordinates and attributes, not z/w; `antialias` is the identity.

Reference: Laine et al. 2020, "Modular Primitives for High-Performance Differentiable Rendering"; nvdiffrast's manual,
"Coordinate systems" and "Rasterization".
"""

from __future__ import annotations

import torch
from torch import Tensor


def rasterize(context: object, pos: Tensor, tri: Tensor, resolution: tuple[int, int]) -> tuple[Tensor, None]:
    """The nearest triangle at each pixel centre: (u, v, z/w, triangle + 1) (B, H, W, 4), all 0 where there is none.

    A clip-space vertex (x, y, z, w) lies at (x/w, y/w), row 0 of the image at y/w = -1 and column 0 at x/w = -1. u and
    v are the perspective-correct weights of a triangle's first two vertices. Nothing is culled.
    """
    assert pos.ndim == 3, "the range mode of nvdiffrast is not needed here"
    assert pos.shape[2] == 4
    _check_triangles(tri)
    assert pos.is_contiguous()
    height, width = resolution
    y, x = (2 * (torch.arange(size, dtype=pos.dtype) + 0.5) / size - 1 for size in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(-1, 3)
    return torch.stack([_rasterize(vertices, tri.long(), points) for vertices in pos]).view(-1, height, width, 4), None


def interpolate(attr: Tensor, rast: Tensor, tri: Tensor) -> tuple[Tensor, None]:
    """u·a + v·b + (1 - u - v)·c of the vertices' attributes (B, N, D) at `rasterize`'s output; 0 where nothing is."""
    _check_triangles(tri)
    assert attr.is_contiguous()
    assert rast.is_contiguous()
    u, v, _, number = rast.unbind(-1)
    covered = number > 0
    corners = tri.long()[(number.long() - 1).clamp_min(0)]
    image = torch.arange(len(rast)).view(-1, 1, 1, 1)
    weights = torch.stack([u, v, 1 - u - v], dim=-1) * covered[..., None]
    return (attr[image, corners] * weights[..., None]).sum(dim=3), None


def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor) -> Tensor:
    """The image as it came."""
    _check_triangles(tri)
    assert color.is_contiguous()
    assert rast.is_contiguous()
    assert color.shape[:3] == rast.shape[:3]
    assert pos.shape[0] == len(color)
    return color


def _check_triangles(tri: Tensor) -> None:
    assert tri.dtype == torch.int32
    assert tri.is_contiguous()


def _rasterize(vertices: Tensor, triangles: Tensor, points: Tensor) -> Tensor:
    """(P, 4) at points (x/w, y/w, 1)."""
    rows = vertices[:, [0, 1, 3]]
    with torch.no_grad():
        weights = _barycentric(rows[triangles], points[:, None])  # (P, F, 3)
        z, w = vertices[:, 2][triangles], vertices[:, 3][triangles]
        depth = (weights * z).sum(-1) / (weights * w).sum(-1)
        hit = (weights >= 0).all(-1) & (w > 0).all(-1) & (depth.abs() <= 1)
        depth = torch.where(hit, depth, torch.inf)
        nearest, number = depth.min(dim=1) if len(triangles) else (points[:, 0] + torch.inf, points[:, 0].long())
    covered = torch.isfinite(nearest)
    output = torch.zeros(len(points), 4, dtype=points.dtype)
    weights = _barycentric(rows[triangles[number[covered]]], points[covered])
    found = torch.stack([weights[:, 0], weights[:, 1], nearest[covered], number[covered].to(points) + 1], dim=-1)
    return output.index_put((covered.nonzero()[:, 0],), found)


def _barycentric(corners: Tensor, points: Tensor) -> Tensor:
    """Perspective-correct weights (…, 3) of corners (…, 3, 3), rows (x, y, w), at points (…, 3).

    Σ weight·row is the point, up to its scale.
    """
    a, b, c = corners.unbind(-2)
    sides = torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], dim=-2)
    weights = (sides * points[..., None, :]).sum(-1)
    return weights / weights.sum(-1, keepdim=True)
