"""Small triangulations and slow float64 references for the rasterizer tests."""

from __future__ import annotations

import torch
from torch import Tensor

FOCAL_PER_PIXEL = 4.53125
REST_DISTANCE = 1000.0


def ellipsoid(rings: int, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """A closed head-sized ellipsoid.

    Vertices (N, 3) are in mm, x right, y up, z to the viewer; faces run counter-clockwise seen from outside.
    """
    u, v = torch.meshgrid(torch.linspace(-torch.pi, torch.pi, rings), torch.linspace(-1.57, 1.57, rings), indexing="xy")
    u, v = u.flatten().to(dtype), v.flatten().to(dtype)
    vertices = torch.stack([70 * u.sin() * v.cos(), 90 * v.sin(), 70 * u.cos() * v.cos()], dim=-1)
    index = torch.arange(rings * rings).view(rings, rings)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])
    return vertices, faces


def project(vertices: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Pixels and depth under the project's camera."""
    depth = REST_DISTANCE - vertices[..., 2]
    scale = FOCAL_PER_PIXEL * image_size / depth
    x = image_size / 2 + scale * vertices[..., 0]
    return torch.stack([x, image_size / 2 - scale * vertices[..., 1]], dim=-1), depth


def random_soup(
    count: int, image_size: int, generator: torch.Generator, dtype=torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Unconnected triangles of all sizes, many across the border of the image: pixels, depth, faces."""
    centre = torch.rand(count, 1, 2, generator=generator, dtype=dtype) * 1.4 * image_size - 0.2 * image_size
    size = image_size * 10 ** (0.3 - 2 * torch.rand(count, 1, 1, generator=generator, dtype=dtype))
    pixels = centre + size * (torch.rand(count, 3, 2, generator=generator, dtype=dtype) - 0.5)
    depth = 500 + 1000 * torch.rand(count, 3, generator=generator, dtype=dtype)
    return pixels.reshape(1, -1, 2), depth.reshape(1, -1), torch.arange(3 * count).view(-1, 3)


def pytorch3d_cameras(image_size: int):
    """PyTorch3D's camera equal to `project`, for vertices in the same space."""
    from pytorch3d.renderer import PerspectiveCameras

    half = image_size / 2
    return PerspectiveCameras(
        focal_length=FOCAL_PER_PIXEL * image_size,
        principal_point=((half, half),),
        R=torch.diag(torch.tensor([-1.0, 1.0, -1.0]))[None],
        T=torch.tensor([[0.0, 0.0, REST_DISTANCE]]),
        image_size=((image_size, image_size),),
        in_ndc=False,
    )


def pixel_centres(image_size: int, dtype=torch.float64) -> Tensor:
    """(H, W, 2) pixel centres."""
    axis = torch.arange(image_size, dtype=dtype) + 0.5
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)


def barycentric(points: Tensor, corners: Tensor, depth: Tensor, perspective: bool = True) -> tuple[Tensor, Tensor]:
    """Coordinates (P, 3) and depth (P,) of points (P, 2) in triangles (P, 3, 2), by solving a linear system.

    Differentiable by autograd.
    """
    ones = torch.ones_like(corners[..., :1])
    system = torch.cat([corners, ones], dim=-1).transpose(-1, -2)
    linear = torch.linalg.solve(system, torch.cat([points, ones[:, 0]], dim=-1))
    if not perspective:
        return linear, (linear * depth).sum(-1)
    divided = linear / depth
    coordinates = divided / divided.sum(-1, keepdim=True)
    return coordinates, (coordinates * depth).sum(-1)


def rasterize_slowly(
    pixels: Tensor, depth: Tensor, faces: Tensor, image_size: int, perspective: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Face index (H, W), coordinates (H, W, 3) and depth (H, W) of one image, by testing all faces at all pixels."""
    points = pixel_centres(image_size).reshape(-1, 2)
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64)
    face_index = torch.full((len(points),), -1)
    coordinates = -torch.ones(len(points), 3, dtype=torch.float64)
    for number, face in enumerate(faces):
        corners = pixels[face].double().expand(len(points), 3, 2)
        (ax, ay), (bx, by), (cx, cy) = pixels[face].double()
        if ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)).abs() < 1e-9 or (depth[face] < 1e-8).any():
            continue
        bary, z = barycentric(points, corners, depth[face].double().expand(len(points), 3), perspective)
        wins = (bary >= 0).all(-1) & (z < nearest)
        nearest[wins], face_index[wins], coordinates[wins] = z[wins], number, bary[wins]
    shape = (image_size, image_size)
    return face_index.view(shape), coordinates.view(*shape, 3), nearest.view(shape)
