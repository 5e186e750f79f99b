"""Decoder, vertex renderer and photometric loss as one operation on NVIDIA GPUs; see `mofa3d.kernels.vertex_loss.cpu`.

Products with the bases are PyTorch's. Everything between them, there and back, is done by two kernels, and a third one
gathers what is left. None of them waits for the GPU, so that a training step can be captured in a CUDA graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from mofa3d.camera import Camera
from mofa3d.errors import InputError
from mofa3d.kernels.vertex_loss.base import FusedLoss, ScaledGradient
from mofa3d.kernels.vertex_loss.rings import VertexRings, make_rings
from mofa3d.morphable_model import MorphableModel

# Vertices of a program: one for each thread of a warp, so that sums need no shared memory.
BLOCK = 32


class _Compare(ScaledGradient):
    @staticmethod
    def forward(ctx, vector, image, background_cost, loss):
        # Kernels start on the current device, and under autocast the products would lose digits.
        with torch.cuda.device_of(vector), torch.autocast(vector.device.type, enabled=False):
            *results, gradient = _evaluate(vector.detach(), image, background_cost, loss, ctx.needs_input_grad[0])
        photometric, error = results
        ScaledGradient.keep(ctx, gradient, error)
        return photometric, error


class CudaVertexLoss(FusedLoss):
    """The photometric loss of a batch of codes, differentiable once with respect to the code.

    Results are the same every time, and have float32's digits, as far as PyTorch's products of matrices do: TF32, where
    a user switched it on, costs three digits.

    Args:
        model: float32 on an NVIDIA GPU; the parts that matter for the loss are copied.
        camera: the camera that sees the face.
        area_weights: as `mofa3d.renderers.vertex.VertexRenderer` has it.

    Raises:
        InputError: a model of another type or device, or Triton is missing.
    """

    compare = _Compare

    def __init__(self, model: MorphableModel, camera: Camera, area_weights: bool = False) -> None:
        devices = ("cuda", "cpu") if _load_kernels().INTERPRETED else ("cuda",)
        if model.mean_shape.device.type not in devices or model.mean_shape.dtype != torch.float32:
            raise ValueError(
                f"this fused loss takes float32 models on NVIDIA GPUs, got {model.mean_shape.dtype} on "
                f'{model.mean_shape.device}; move the model with .to("cuda"), or use FusedVertexLoss on the CPU, or '
                "Decoder and VertexRenderer"
            )
        super().__init__(model, camera, area_weights)
        self.tables = _make_tables(model)


def _load_kernels() -> ModuleType:
    try:
        from mofa3d.kernels.vertex_loss import cuda_triton
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        raise InputError(
            "the fused loss for NVIDIA GPUs needs Triton, which comes with PyTorch for CUDA: pip install triton; or "
            "use Decoder and VertexRenderer"
        ) from error
    return cuda_triton


@dataclass(frozen=True)
class _Tables:
    """What the kernels take of a model: frontal vertices, then those around them.

    Attributes:
        frontal_count, count: the number of the former, and of all.
        corners: the triangles around each vertex, see `mofa3d.kernels.vertex_loss.cuda_triton`.
        geometry_mean, geometry_basis: x of all vertices, then y, then z.
        reflectance_mean, reflectance_basis: the same of the frontal vertices.
    """

    frontal_count: int
    count: int
    corners: Int32[Tensor, "K 2 V"]
    geometry_mean: Float[Tensor, "R"]
    geometry_basis: Float[Tensor, "R G"]
    reflectance_mean: Float[Tensor, "Q"]
    reflectance_basis: Float[Tensor, "Q A"]


def _make_tables(model: MorphableModel) -> _Tables:
    rings, device = make_rings(model), model.mean_shape.device
    order = rings.order.to(device)
    frontal = order[: rings.frontal_count]
    geometry_basis = torch.cat([model.shape_basis, model.expression_basis], dim=2)
    return _Tables(
        rings.frontal_count,
        len(order),
        _pad(rings).to(device),
        model.mean_shape[order].T.flatten(),
        geometry_basis[order].transpose(0, 1).flatten(0, 1),
        model.mean_reflectance[frontal].T.flatten(),
        model.reflectance_basis[frontal].transpose(0, 1).flatten(0, 1),
    )


def _pad(rings: VertexRings) -> Int32[Tensor, "K 2 V"]:
    """As many triangles for each vertex; those that it does not have are the vertex itself, three times."""
    counts, count = rings.starts.diff(), len(rings.order)
    owners = torch.arange(count).repeat_interleave(counts)
    places = torch.arange(len(owners)) - rings.starts[owners]
    table = torch.arange(count).repeat(int(counts.max()) if count else 0, 2, 1)
    table[places, :, owners] = rings.corners
    return table.int()


def _evaluate(
    vector: Float[Tensor, "B D"],
    image: Float[Tensor, "B 3 H W"],
    background_cost: float,
    loss: CudaVertexLoss,
    with_gradient: bool,
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"], Float[Tensor, "B D"]]:
    """Loss, error and the loss's gradient; the last is not filled unless asked for."""
    kernels = _load_kernels()
    tables, camera, batch = loss.tables, loss.camera, len(vector)
    frontal_count, count, ring = tables.frontal_count, tables.count, len(tables.corners)
    geometry_size, reflectance_size = loss.sizes.shape + loss.sizes.expression, loss.sizes.reflectance
    parts = geometry_size, reflectance_size, vector.shape[1] - geometry_size - reflectance_size
    geometry, reflectance, around = vector.split(parts, dim=1)
    vertices = nn.functional.linear(geometry, tables.geometry_basis, tables.geometry_mean)
    colors = nn.functional.linear(reflectance, tables.reflectance_basis, tables.reflectance_mean)
    grad_colors, grad_vertices, grad_normals = (torch.empty_like(colors) for _ in range(3))
    grad_areas = colors.new_empty(batch, frontal_count) if loss.area_weights else colors

    # A column of sums for each program of `compare`, and for those of `compare_back` that have any.
    frontal_programs, all_programs = -(-frontal_count // BLOCK), -(-count // BLOCK)
    columns = frontal_programs + (all_programs if loss.area_weights and with_gradient else 0)
    sums = vector.new_zeros(batch, kernels.SUMS.value, columns)
    scene = around, around.stride(0), vertices
    optics = camera.image_size, camera.focal, camera.rest_distance
    shared = {"block": BLOCK, "num_warps": max(BLOCK // 32, 1)}
    options = {"areas": loss.area_weights, **shared}
    kernels.compare[frontal_programs, batch](
        *scene, colors, tables.corners, image.detach().contiguous(), frontal_count, count, ring, *optics,
        background_cost, loss.weight, sums, columns, grad_colors, grad_vertices, grad_normals, grad_areas, **options,
    )  # fmt: skip
    gradient = torch.empty_like(vector)
    by_geometry, by_reflectance, by_around = gradient.split(parts, dim=1)
    if with_gradient:
        whole = torch.empty_like(vertices)
        kernels.compare_back[all_programs, batch](
            *scene, tables.corners, frontal_count, count, ring, *optics, grad_vertices, grad_normals, grad_areas,
            sums, columns, frontal_programs, whole, **options,
        )  # fmt: skip
        torch.mm(whole, tables.geometry_basis, out=by_geometry)
        torch.mm(grad_colors, tables.reflectance_basis, out=by_reflectance)
    photometric, error = vector.new_empty(batch), vector.new_empty(batch)
    kernels.finish[-(-batch // BLOCK),](
        *scene[:2], sums.sum(dim=2), batch, background_cost, photometric, error, by_around, by_around.stride(0),
        **shared,
    )  # fmt: skip
    return photometric, error, gradient
