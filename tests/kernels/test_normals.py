"""The sparse products against plain loops, in values and gradients."""

from __future__ import annotations

import torch

from mofa3d.kernels.normals import VertexNormals


def loop_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    sums = [[torch.zeros(3, dtype=vertices.dtype) for _ in image] for image in vertices]
    for image, points in enumerate(vertices):
        for a, b, c in faces.tolist():
            cross = torch.linalg.cross(points[b] - points[a], points[c] - points[a])
            for corner in (a, b, c):
                sums[image][corner] = sums[image][corner] + cross
    total = torch.stack([torch.stack(rows) for rows in sums])
    return total / torch.linalg.vector_norm(total, dim=-1, keepdim=True).clamp_min(1e-12)


def random_mesh(count: int = 12, triangles: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    faces = torch.stack([torch.randperm(count, generator=generator)[:3] for _ in range(triangles)])
    return torch.randn(3, count, 3, generator=generator, dtype=torch.float64), faces


def test_equal_the_loops():
    vertices, faces = random_mesh()
    normals = VertexNormals(faces, vertices.shape[1])(vertices)
    torch.testing.assert_close(normals, loop_normals(vertices, faces), atol=1e-12, rtol=0)


def test_gradients_equal_those_of_the_loops():
    vertices, faces = random_mesh()
    weights = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    fast, slow = vertices.clone().requires_grad_(), vertices.clone().requires_grad_()
    (VertexNormals(faces, vertices.shape[1])(fast) * weights).sum().backward()
    (loop_normals(slow, faces) * weights).sum().backward()
    assert float(slow.grad.abs().max()) > 0.1
    torch.testing.assert_close(fast.grad, slow.grad, atol=1e-10, rtol=1e-10)


def test_counter_clockwise_faces_look_at_the_viewer():
    corners = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]])
    up, down = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 1]])
    assert torch.equal(VertexNormals(up, 3)(corners), torch.tensor([0.0, 0, 1]).expand(1, 3, 3))
    assert torch.equal(VertexNormals(down, 3)(corners), torch.tensor([0.0, 0, -1]).expand(1, 3, 3))


def test_larger_triangles_count_more():
    # At the shared edge, an area of 2 looks along z and an area of 1 along x.
    points = torch.tensor([[[0.0, 0, 0], [0, 2, 0], [-2, 0, 0], [0, 0, -1]]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 2], [0, 3, 1]])
    shared = VertexNormals(faces, 4)(points)[0, 0]
    assert abs(float(shared[2]) / float(shared[0])) == 2
    assert float(shared[2]) > 0
    assert abs(float(shared.norm()) - 1) < 1e-12


def test_without_area_the_normal_is_zero_and_its_gradient_finite():
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]]], requires_grad=True)
    normals = VertexNormals(torch.tensor([[0, 1, 2]]), 4)(points)
    assert torch.equal(normals, torch.zeros(1, 4, 3))
    normals.sum().backward()
    assert bool(points.grad.isfinite().all())


def test_nothing_is_stored_in_checkpoints():
    assert VertexNormals(torch.tensor([[0, 1, 2]]), 3).state_dict() == {}
