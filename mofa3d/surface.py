"""What the camera sees of a face: vertices and reflectance to positions, normals, pixels and shaded colours.

`see_plainly` says it in PyTorch, on any device and with derivatives of any order. `see` gives the same numbers and
first derivatives, on the CPU from one pass over each image (four times faster for a batch of faces).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor
from torch.autograd.function import once_differentiable

from mofa3d import harmonics, parallel
from mofa3d.camera import Camera
from mofa3d.normals import VertexNormals


class Surface(NamedTuple):
    """A batch of surfaces before the camera; see `mofa3d.scene.Scene` for what each means."""

    positions: Float[Tensor, "B N 3"]
    normals: Float[Tensor, "B N 3"]
    pixels: Float[Tensor, "B N 2"]
    colors: Float[Tensor, "B N 3"]
    front_facing: Bool[Tensor, "B N"]


class Surroundings(NamedTuple):
    """Pose and light of a batch: the blocks of the semantic code that are not the face's own."""

    rotation: Float[Tensor, "B 3"]
    translation: Float[Tensor, "B 3"]
    illumination: Float[Tensor, "B 9 3"]


def see_plainly(
    vertices: Float[Tensor, "B N 3"],
    reflectance: Float[Tensor, "B N 3"],
    around: Surroundings,
    vertex_normals: VertexNormals,
    camera: Camera,
) -> Surface:
    """The reference: the equations of `camera`, `normals` and `harmonics`, one after the other."""
    positions = camera.to_camera(vertices, around.rotation, around.translation)
    normals = vertex_normals(positions)
    colors = reflectance * harmonics.irradiance(normals, around.illumination)
    return Surface(positions, normals, camera.project(positions), colors, front_facing(positions, normals, camera))


def front_facing(
    positions: Float[Tensor, "B N 3"], normals: Float[Tensor, "B N 3"], camera: Camera
) -> Bool[Tensor, "B N"]:
    """Which vertices look at the camera: normal · (camera − vertex) > 0, in camera space (the set 𝒱 of Eq. 8)."""
    position, normal = positions.detach(), normals.detach()
    to_camera_z = camera.rest_distance - position[..., 2]
    return normal[..., 2] * to_camera_z - (normal[..., :2] * position[..., :2]).sum(-1) > 0


def see(
    vertices: Float[Tensor, "B N 3"],
    reflectance: Float[Tensor, "B N 3"],
    around: Surroundings,
    faces: Int[Tensor, "F 3"],
    camera: Camera,
) -> Surface:
    """The same on the CPU, fused; differentiable once.

    Args:
        vertices: model space, mm.
        reflectance: display RGB.
        around: pose and light.
        faces: counter-clockwise seen from outside.
        camera: what sees them.
    """
    rotation = axis_angle_to_matrix(around.rotation)
    inputs = (vertices, reflectance, rotation, around.translation, around.illumination)
    return Surface(*_See.apply(*inputs, faces, camera))


class _See(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *arguments):
        from mofa3d import surface_kernels

        *inputs, faces, camera = arguments
        inputs = [value.detach().contiguous() for value in inputs]
        vertices, faces = inputs[0], faces.contiguous()
        positions, normals, colors = (torch.empty_like(vertices) for _ in range(3))
        lengths, pixels = torch.empty_like(vertices[..., 0]), torch.empty_like(vertices[..., :2])
        front = torch.empty_like(lengths, dtype=torch.bool)
        outputs = (positions, normals, lengths, pixels, colors, front)
        intrinsics = (camera.focal, camera.image_size / 2, camera.rest_distance)

        def one(image: int) -> None:
            before, after = ([value[image].numpy() for value in values] for values in (inputs, outputs))
            surface_kernels.forward(*before, faces.numpy(), *intrinsics, *after)

        parallel.run(one, [(image,) for image in range(len(vertices))])
        ctx.camera = camera
        ctx.save_for_backward(*inputs, faces, positions, normals, lengths)
        ctx.mark_non_differentiable(front)
        return positions, normals, pixels, colors, front

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_positions, grad_normals, grad_pixels, grad_colors, _):
        from mofa3d import surface_kernels

        # Detached, because in the threads below autograd is on again.
        *inputs, faces, positions, normals, lengths = (value.detach() for value in ctx.saved_tensors)
        # The kernel adds to the first two, which may be another function's.
        given = [grad_positions.clone(), grad_normals.clone(), grad_pixels, grad_colors]
        given = [value.contiguous() for value in given]
        wanted = [torch.empty_like(value) for value in inputs[:2]] + [torch.zeros_like(value) for value in inputs[2:]]

        def one(image: int) -> None:
            before = [value[image].numpy() for value in inputs]
            after = [value[image].numpy() for value in (positions, normals, lengths, *given, *wanted)]
            surface_kernels.backward(*before, faces.numpy(), ctx.camera.focal, ctx.camera.rest_distance, *after)

        parallel.run(one, [(image,) for image in range(len(positions))])
        return *wanted, None, None
