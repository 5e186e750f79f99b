"""Decoder, vertex renderer and photometric loss as one operation on the CPU (the paper's single layer).

It gives the numbers and first derivatives of ::

    losses.photometric(VertexRenderer(area_weights)(Decoder(model, camera)(code)), image, background_cost)

many times as fast. A loss is one number per image, so its gradient can be worked out along with it, while a vertex's
numbers are still in the processor: the backward pass only scales. Nothing of the size of the model stays in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.kernels import parallel
from mofa3d.kernels.rotations import rotation_gradients, rotation_matrices
from mofa3d.kernels.vertex_loss.base import FusedLoss, ScaledGradient
from mofa3d.kernels.vertex_loss.rings import make_rings
from mofa3d.morphable_model import MorphableModel

RUNS = 8  # parts that threads share; fixed, so that sums do not depend on the number of threads


class _Compare(ScaledGradient):
    @staticmethod
    def forward(ctx, vector, image, background_cost, loss):
        from mofa3d.kernels.simd import LANES

        vectors, images, wanted = vector.detach().numpy(), image.detach().contiguous().numpy(), ctx.needs_input_grad[0]
        where = loss.sizes.slices["rotation"]
        before, rotations, after = np.split(vectors, [where.start, where.stop], axis=1)
        rotations = rotations.astype(np.float64)
        matrices = rotation_matrices(rotations).reshape(-1, 9)
        given = np.concatenate([before, matrices.astype(np.float32), after], axis=1)
        groups = [slice(first, first + LANES) for first in range(0, len(given), LANES)]
        parts = [_evaluate(given[group], images[group], background_cost, loss, wanted) for group in groups]
        photometric, error, gradient = (torch.cat(values) for values in zip(*parts, strict=True))
        if wanted:
            before, by_matrix, after = gradient.tensor_split([where.start, where.start + 9], dim=1)
            by_matrix = by_matrix.numpy().reshape(-1, 3, 3).astype(np.float64)
            by_rotation = torch.from_numpy(rotation_gradients(rotations, by_matrix)).to(vector.dtype)
            gradient = torch.cat([before, by_rotation, after], dim=1)
        ScaledGradient.keep(ctx, gradient, error)
        return photometric, error


class FusedVertexLoss(FusedLoss):
    """The photometric loss of a batch of codes, differentiable once with respect to the code.

    Args:
        model: float32 on the CPU; the parts that matter for the loss are copied.
        camera: the camera that sees the face.
        area_weights: as `mofa3d.renderers.vertex.VertexRenderer` has it.

    Raises:
        ValueError: a model of another type or device.
    """

    compare = _Compare

    @plain_settings()
    def __init__(self, model: MorphableModel, camera: Camera, area_weights: bool = False) -> None:
        if model.mean_shape.device.type != "cpu" or model.mean_shape.dtype != torch.float32:
            raise ValueError(
                f"the fused loss takes float32 models on the CPU, got {model.mean_shape.dtype} on "
                f"{model.mean_shape.device}; use Decoder and VertexRenderer"
            )
        super().__init__(model, camera, area_weights)
        self.tables = _make_tables(model)


@dataclass(frozen=True)
class _Tables:
    """What the kernels take of a model: frontal vertices, then those around them.

    Attributes:
        frontal_count, count: the number of the former, and of all.
        starts, corners: the triangles around each vertex.
        geometry_means, geometry_basis: three rows for each vertex, and rows of zeros up to whole blocks.
        reflectance_means, reflectance_basis: of the frontal vertices only.
    """

    frontal_count: int
    count: int
    starts: UInt[np.ndarray, "V1"]
    corners: UInt[np.ndarray, "C 2"]
    geometry_means: Float[np.ndarray, "R"]
    geometry_basis: Float[np.ndarray, "R8 G 8"]
    reflectance_means: Float[np.ndarray, "Q"]
    reflectance_basis: Float[np.ndarray, "Q8 A 8"]

    def runs(self, count: int) -> list[tuple[int, int]]:
        """`RUNS` parts of the first vertices that start at whole blocks."""
        from mofa3d.kernels.vertex_loss.cpu_numba import BLOCK

        blocks = -(-count // BLOCK)
        edges = [min(count, BLOCK * (blocks * i // RUNS)) for i in range(RUNS + 1)]
        return list(pairwise(edges))


def _make_tables(model: MorphableModel) -> _Tables:
    rings = make_rings(model)
    order, frontal_count = rings.order, rings.frontal_count
    geometry_basis = torch.cat([model.shape_basis, model.expression_basis], dim=2)
    return _Tables(
        frontal_count,
        len(order),
        rings.starts.numpy().astype(np.uint32),
        np.ascontiguousarray(rings.corners.numpy().astype(np.uint32)),
        _whole_blocks(model.mean_shape[order].flatten()),
        _grouped(geometry_basis[order].flatten(0, 1)),
        _whole_blocks(model.mean_reflectance[order[:frontal_count]].flatten()),
        _grouped(model.reflectance_basis[order[:frontal_count]].flatten(0, 1)),
    )


def _whole_blocks(rows: Float[Tensor, "R *K"]) -> Float[np.ndarray, "Q *K"]:
    """Rows of zeros added up to the kernels' whole blocks."""
    from mofa3d.kernels.vertex_loss.cpu_numba import ROWS

    padded = rows.new_zeros(-(-len(rows) // ROWS) * ROWS, *rows.shape[1:])
    padded[: len(rows)] = rows
    return padded.numpy()


def _grouped(basis: Float[Tensor, "R K"]) -> Float[np.ndarray, "Q K G"]:
    """A basis in the order in which the kernels read it."""
    from mofa3d.kernels.vertex_loss.cpu_numba import GROUP

    rows = _whole_blocks(basis)
    return np.ascontiguousarray(rows.reshape(-1, GROUP, rows.shape[1]).transpose(0, 2, 1))


def _evaluate(
    given: Float[np.ndarray, "B K"],
    images: Float[np.ndarray, "B 3 H W"],
    background_cost: float,
    loss: FusedVertexLoss,
    with_gradient: bool,
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"], Float[Tensor, "B K"]]:
    """Loss, error and the loss's gradient of as many images as lie side by side."""
    from mofa3d.kernels.vertex_loss import cpu_numba

    tables, camera = loss.tables, loss.camera
    batch, size = given.shape
    rows = np.zeros((size + 1, cpu_numba.LANES), dtype=np.float32)
    rows[:-1, :batch] = given.T
    # A power of two, of which thousands add up without rounding: all sums are linear in it.
    exact = 2.0 ** round(math.log2(loss.weight))
    rows[-1] = exact
    geometry_size, reflectance_size = tables.geometry_basis.shape[1], tables.reflectance_basis.shape[1]
    parts = geometry_size, geometry_size + reflectance_size
    geometry, reflectance, around = np.split(rows, parts)
    sums = np.zeros((RUNS, size + 2, cpu_numba.LANES), dtype=np.float32)
    grad_geometry, grad_reflectance, grad_around = np.split(sums, parts, axis=1)

    vertices, grad_vertices, grad_normals = (
        np.empty((len(tables.geometry_means), cpu_numba.LANES), dtype=np.float32) for _ in range(3)
    )
    pixels = np.empty((2 * tables.count if loss.area_weights else 0, cpu_numba.LANES), dtype=np.float32)
    grad_areas = np.zeros((len(pixels) // 2, cpu_numba.LANES), dtype=np.float32)
    # What is not frontal does not count.
    grad_vertices[3 * tables.frontal_count :] = 0
    grad_normals[3 * tables.frontal_count :] = 0
    focal, distance, half, cost = map(
        np.float32, (camera.focal, camera.rest_distance, camera.image_size / 2, background_cost)
    )
    side = camera.image_size
    flat = images.reshape(batch, 3 * side * side)
    if side == 1:  # kernels read two pixels at a time, and here use the first
        flat = np.pad(flat, [(0, 0), (0, 2)])
    ring = tables.starts, tables.corners

    def decode(start: int, stop: int) -> None:
        base = tables.geometry_means, tables.geometry_basis, geometry
        cpu_numba.decode(start, stop, *base, around, focal, distance, half, vertices, pixels)

    def compare(run: int, start: int, stop: int) -> None:
        base = tables.reflectance_means, tables.reflectance_basis, reflectance
        into = grad_around[run], grad_reflectance[run], grad_vertices, grad_normals, grad_areas
        cpu_numba.compare(start, stop, around, *ring, vertices, pixels, *base, flat, side, focal, distance, cost, *into)

    def compare_back(run: int, start: int, stop: int) -> None:
        known = grad_normals, grad_areas, grad_vertices
        into = grad_around[run], grad_geometry[run]
        cpu_numba.compare_back(
            start, stop, around, *ring, vertices, pixels, tables.geometry_basis, focal, distance, *known, *into
        )

    everything = tables.runs(tables.count)
    phases: list[tuple[Callable[..., object], Iterable[tuple[Any, ...]]]] = [
        (decode, everything),
        (compare, [(run, *edges) for run, edges in enumerate(tables.runs(tables.frontal_count))]),
    ]
    if with_gradient:
        phases.append((compare_back, [(run, *edges) for run, edges in enumerate(everything)]))
    parallel.run_in_turn(*phases)
    total = torch.from_numpy(sums.sum(axis=0))[:, :batch] * (loss.weight / exact)
    error, counted = total[-2], total[-1]
    return error - background_cost * counted, error / counted, total[:-2].T
