"""Vertex attributes at the fragments of an image; on the CPU by a numba kernel, elsewhere by gathering.

Differentiable with respect to the attributes and the barycentric coordinates.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.kernels import parallel
from mofa3d.kernels.compiled import compiled

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def interpolate(
    pix_to_face: Int[Tensor, "B H W K"],
    bary_coords: Float[Tensor, "B H W K 3"],
    attributes: Float[Tensor, "*vertices D"],
    faces: Int[Tensor, "F 3"],
) -> Float[Tensor, "B H W K D"]:
    """Weighted sums of the attributes of each fragment's three vertices; zero where there is no fragment.

    Args:
        pix_to_face: packed face index, -1 where empty.
        bary_coords: weights of the three vertices.
        attributes: (B, N, D) with one triangulation for all images, so `pix_to_face` counts index + image·F; or packed
            (V, D) as in PyTorch3D's `Meshes`.
        faces: (F, 3), into one image's vertices or, packed, into all.

    Raises:
        ValueError: `attributes` has neither two nor three dimensions.
    """
    if attributes.ndim not in (2, 3):
        raise ValueError(f"expected attributes (B, N, D) or packed (V, D), got {tuple(attributes.shape)}")
    if attributes.device.type == "cpu" and pix_to_face.shape[3] == 1:
        values = _InterpolateCpu.apply(bary_coords[..., 0, :], attributes, pix_to_face[..., 0], faces)
        return values.unsqueeze(3)
    return _gather(pix_to_face, bary_coords, attributes, faces)


def _gather(pix_to_face: Tensor, bary_coords: Tensor, attributes: Tensor, faces: Tensor) -> Tensor:
    covered = pix_to_face >= 0
    index = pix_to_face.clamp_min(0)
    if attributes.ndim == 2:
        corners = faces[index]
    else:
        image = torch.arange(len(index), device=index.device).view(-1, 1, 1, 1)
        corners = faces[index - image * len(faces) * covered] + (image * attributes.shape[1])[..., None]
    weights = torch.where(covered[..., None], bary_coords, 0)
    return torch.einsum("bhwkc,bhwkcd->bhwkd", weights, attributes.reshape(-1, attributes.shape[-1])[corners])


class _InterpolateCpu(torch.autograd.Function):
    """(bary (B, H, W, 3), attributes) -> (B, H, W, D) at face indices (B, H, W)."""

    @staticmethod
    def forward(ctx, bary, attributes, face_index, faces):
        bary, face_index, faces = bary.detach().contiguous(), face_index.contiguous(), faces.contiguous()
        attributes = attributes.detach().contiguous()
        batch, height, width = face_index.shape
        values = attributes.new_empty(batch, height, width, attributes.shape[-1])
        bands = parallel.split_rows(height, batch)

        def interpolate_band(image: int, first_row: int, last_row: int) -> None:
            rows = slice(first_row, last_row)
            inputs = (face_index[image, rows].numpy(), bary[image, rows].numpy(), faces.numpy())
            vertices, first_face = _image(attributes, image, faces)
            _forward(*inputs, first_face, vertices.numpy(), values[image, rows].numpy())

        parallel.run(interpolate_band, [(image, *band) for image in range(batch) for band in bands])
        ctx.save_for_backward(bary, attributes, face_index, faces)
        return values

    @staticmethod
    def backward(ctx, grad):
        bary, attributes, face_index, faces = ctx.saved_tensors
        grad = grad.contiguous()
        grad_bary = torch.empty_like(bary)
        batch, height, _ = face_index.shape
        bands = parallel.split_rows(height, batch)
        # Bands of one image share vertices, so each band number adds into a buffer of its own.
        grad_attributes = attributes.new_zeros(len(bands), *attributes.shape)

        def backward_band(image: int, band: int) -> None:
            rows = slice(*bands[band])
            inputs = (face_index[image, rows].numpy(), bary[image, rows].numpy(), faces.numpy())
            vertices, first_face = _image(attributes, image, faces)
            grad_vertices, _ = _image(grad_attributes[band], image, faces)
            gradients = (grad[image, rows].numpy(), grad_bary[image, rows].numpy(), grad_vertices.numpy())
            _backward(*inputs, first_face, vertices.numpy(), *gradients)

        parallel.run(backward_band, [(image, band) for image in range(batch) for band in range(len(bands))])
        return grad_bary, grad_attributes.sum(0), None, None


def _image(vertices: Tensor, image: int, faces: Tensor) -> tuple[Tensor, int]:
    """The vertices that an image's faces index, and the packed index of its first face in `faces`."""
    return (vertices, 0) if vertices.ndim == 2 else (vertices[image], image * len(faces))


@compiled(**_OPTIONS)
def _forward(face_index, bary, faces, first_face, attributes, values):
    height, width, channels = values.shape
    for row in range(height):
        for column in range(width):
            face = face_index[row, column]
            if face < 0:
                for channel in range(channels):
                    values[row, column, channel] = 0.0
                continue
            a, b, c = faces[face - first_face, 0], faces[face - first_face, 1], faces[face - first_face, 2]
            wa, wb, wc = bary[row, column, 0], bary[row, column, 1], bary[row, column, 2]
            for channel in range(channels):
                values[row, column, channel] = (
                    wa * attributes[a, channel] + wb * attributes[b, channel] + wc * attributes[c, channel]
                )


@compiled(**_OPTIONS)
def _backward(face_index, bary, faces, first_face, attributes, grad, grad_bary, grad_attributes):
    height, width, channels = grad.shape
    for row in range(height):
        for column in range(width):
            grad_bary[row, column, 0] = grad_bary[row, column, 1] = grad_bary[row, column, 2] = 0.0
            face = face_index[row, column]
            if face < 0:
                continue
            a, b, c = faces[face - first_face, 0], faces[face - first_face, 1], faces[face - first_face, 2]
            wa, wb, wc = bary[row, column, 0], bary[row, column, 1], bary[row, column, 2]
            ga, gb, gc = 0.0, 0.0, 0.0
            for channel in range(channels):
                g = grad[row, column, channel]
                ga += g * attributes[a, channel]
                gb += g * attributes[b, channel]
                gc += g * attributes[c, channel]
                grad_attributes[a, channel] += g * wa
                grad_attributes[b, channel] += g * wb
                grad_attributes[c, channel] += g * wc
            grad_bary[row, column, 0], grad_bary[row, column, 1], grad_bary[row, column, 2] = ga, gb, gc
