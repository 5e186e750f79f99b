"""Vertex normals of a fixed triangulation, fast enough to differentiate through at every training step."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class VertexNormals(nn.Module):
    """Area-weighted one-ring vertex normals, unit length.

    The plain way (gather corners, cross product, `index_add_`) spends its time in scattered additions. Here each
    scatter is a product with the sparse vertex-corner incidence matrix, made once.

    Args:
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        vertex_count: N.
    """

    faces: Int[Tensor, "F 3"]
    corner_starts: Int[Tensor, "M"]
    corner_order: Int[Tensor, "C"]
    face_order: Int[Tensor, "C"]

    def __init__(self, faces: Int[Tensor, "F 3"], vertex_count: int) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # PyTorch says once per process that sparse CSR is in beta and not checked; let that happen here, unseen.
            warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
            torch.sparse_csr_tensor([0, 0], [], [], (1, 1))
        self.register_buffer("faces", faces, persistent=False)
        corners = faces.flatten()
        order = torch.argsort(corners, stable=True)
        starts = torch.zeros(vertex_count + 1, dtype=torch.long, device=faces.device)
        starts[1:] = torch.bincount(corners, minlength=vertex_count).cumsum(0)
        self.register_buffer("corner_starts", starts, persistent=False)
        self.register_buffer("corner_order", order, persistent=False)
        self.register_buffer("face_order", order // 3, persistent=False)

    def forward(self, vertices: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        """Unit normals; zero where all adjacent triangles are degenerate."""
        batch, count, _ = vertices.shape
        # One row of (xyz, batch) per vertex: a gather moves whole rows, and the arithmetic runs along the batch.
        rows = vertices.permute(1, 2, 0).reshape(count, 3 * batch)
        corners = _Gather.apply(rows, self.faces.flatten(), self.corner_starts, self.corner_order)
        a, b, c = corners.view(-1, 3, 3, batch).unbind(1)
        (ux, uy, uz), (vx, vy, vz) = (b - a).unbind(1), (c - a).unbind(1)
        face_normals = torch.cat([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], dim=1)
        sums = _SegmentSum.apply(face_normals, self.corner_starts, self.face_order, self.faces)
        sums = sums.view(count, 3, batch)
        # Not `normalize`: a norm over so short a dimension is several times slower than the sum written out.
        length = sums.square().sum(dim=1, keepdim=True).clamp_min(1e-24).sqrt()
        return (sums / length).permute(2, 0, 1)


def _sum_rows(rows: Tensor, starts: Tensor, columns: Tensor) -> Tensor:
    """out[v] = sum of rows[columns[starts[v]:starts[v+1]]]."""
    ones = rows.new_ones(len(columns))
    matrix = torch.sparse_csr_tensor(starts, columns, ones, (len(starts) - 1, len(rows)))
    return matrix @ rows


class _Gather(torch.autograd.Function):
    """rows[index], whose backward is a segment sum instead of a scatter."""

    @staticmethod
    def forward(ctx, rows, index, starts, order):
        ctx.save_for_backward(starts, order)
        return rows[index]

    @staticmethod
    def backward(ctx, gradient):
        return _sum_rows(gradient.contiguous(), *ctx.saved_tensors), None, None, None


class _SegmentSum(torch.autograd.Function):
    """Sum of face rows over the faces around each vertex, whose backward is three gathers."""

    @staticmethod
    def forward(ctx, rows, starts, face_order, faces):
        ctx.save_for_backward(faces)
        return _sum_rows(rows, starts, face_order)

    @staticmethod
    def backward(ctx, gradient):
        (faces,) = ctx.saved_tensors
        a, b, c = faces.unbind(1)
        return gradient[a] + gradient[b] + gradient[c], None, None, None
