"""Interpolation and shading of one fragment per pixel in one pass, on the CPU.

It gives the numbers and gradients of `mofa3d.renderers.interpolate.interpolate` and `mofa3d.renderers.shader.shade`
after each other, without their dozens of images in between. Differentiable once with respect to the barycentric
coordinates, the reflectance, the normals and the light.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from numba import njit
from torch import Tensor

from mofa3d.harmonics import AMBIENT
from mofa3d.kernels import parallel
from mofa3d.kernels.compiled import compiled

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}
FUNCTIONS = 9  # of the light
SHORTEST = 1e-24  # square of a normal's length below which there is no direction, as in `shade`


def shade_pixels(
    pix_to_face: Int[Tensor, "B H W"],
    bary_coords: Float[Tensor, "B H W 3"],
    reflectance: Float[Tensor, "B N 3"],
    normals: Float[Tensor, "B N 3"],
    illumination: Float[Tensor, "B 9 3"],
    faces: Int[Tensor, "F 3"],
) -> Float[Tensor, "B H W 3"]:
    """Colors of pixels; zero where nothing is seen.

    Args:
        pix_to_face: packed face index (index + image·F), -1 where empty.
        bary_coords: weights of the face's three vertices.
        reflectance: display RGB of the vertices.
        normals: of the vertices, camera space.
        illumination: spherical-harmonics code without the ambient.
        faces: vertex indices, the same for all images.
    """
    return _ShadePixels.apply(bary_coords, reflectance, normals, illumination, pix_to_face, faces)


class _ShadePixels(torch.autograd.Function):
    @staticmethod
    def forward(ctx, bary, reflectance, normals, illumination, face_index, faces):
        given = [tensor.detach().contiguous() for tensor in (bary, reflectance, normals, illumination)]
        face_index, faces = face_index.contiguous(), faces.contiguous()
        colors = torch.empty_like(given[0])
        batch, height = face_index.shape[:2]
        bands = parallel.split_rows(height, batch)

        def shade_band(image: int, first_row: int, last_row: int) -> None:
            rows = slice(first_row, last_row)
            _shade(*_inputs(image, rows, given, face_index, faces), colors[image, rows].numpy())

        parallel.run(shade_band, [(image, *band) for image in range(batch) for band in bands])
        ctx.save_for_backward(*given, face_index, faces)
        return colors

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        *given, face_index, faces = ctx.saved_tensors
        grad, grad_bary = grad.detach().contiguous(), torch.empty_like(given[0])
        batch, height = face_index.shape[:2]
        bands = parallel.split_rows(height, batch)
        # Bands of one image share vertices and light, so each band number adds into buffers of its own.
        sums = [tensor.new_zeros(len(bands), *tensor.shape) for tensor in given[1:]]

        def backward_band(image: int, band: int) -> None:
            rows = slice(*bands[band])
            into = (total[band, image].numpy() for total in sums)
            inputs = _inputs(image, rows, given, face_index, faces)
            _shade_back(*inputs, grad[image, rows].numpy(), grad_bary[image, rows].numpy(), *into)

        parallel.run(backward_band, [(image, band) for image in range(batch) for band in range(len(bands))])
        return grad_bary, *(total.sum(0) for total in sums), None, None


def _inputs(image: int, rows: slice, given: list[Tensor], face_index: Tensor, faces: Tensor) -> tuple:
    """What both kernels take of some rows of an image.

    Their constants are in the type of the numbers, or all arithmetic would be in float64.
    """
    bary, *of_image = given
    number = bary.numpy().dtype.type
    constants = (1, 3, 2 / math.sqrt(3), math.sqrt(15) / 4, math.sqrt(15) / 8, math.sqrt(5) / 8, AMBIENT, SHORTEST)
    return (
        face_index[image, rows].numpy(), bary[image, rows].numpy(), faces.numpy(), image * len(faces),
        *(tensor[image].numpy() for tensor in of_image), tuple(number(value) for value in constants),
    )  # fmt: skip


@njit(inline="always")
def _functions(x, y, z, one, three, linear, product, half_product, zonal):
    """`mofa3d.harmonics.basis`."""
    return (
        one, linear * y, linear * z, linear * x, product * (x * y), product * (y * z),
        zonal * (three * z * z - one), product * (x * z), half_product * (x * x - y * y),
    )  # fmt: skip


@njit(inline="always")
def _between(normals, a, b, c, wa, wb, wc):
    """The normal between three vertices, of any length."""
    return (
        wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0],
        wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1],
        wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2],
    )


@compiled(**_OPTIONS)
def _shade(face_index, bary, faces, first_face, reflectance, normals, light, constants, colors):
    one, three, linear, product, half_product, zonal, ambient, shortest = constants
    for row in range(face_index.shape[0]):
        for column in range(face_index.shape[1]):
            if face_index[row, column] < 0:
                colors[row, column, 0] = colors[row, column, 1] = colors[row, column, 2] = 0
                continue
            a, b, c = faces[face_index[row, column] - first_face]
            wa, wb, wc = bary[row, column]
            x, y, z = _between(normals, a, b, c, wa, wb, wc)
            length = math.sqrt(max(x * x + y * y + z * z, shortest))
            values = _functions(x / length, y / length, z / length, one, three, linear, product, half_product, zonal)
            for channel in range(3):
                irradiance = ambient
                for i in range(FUNCTIONS):
                    irradiance += values[i] * light[i, channel]
                albedo = wa * reflectance[a, channel] + wb * reflectance[b, channel] + wc * reflectance[c, channel]
                colors[row, column, channel] = albedo * irradiance


@compiled(**_OPTIONS)
def _shade_back(
    face_index, bary, faces, first_face, reflectance, normals, light, constants,
    grad, grad_bary, grad_reflectance, grad_normals, grad_light,
):  # fmt: skip
    one, three, linear, product, half_product, zonal, ambient, shortest = constants
    for row in range(face_index.shape[0]):
        for column in range(face_index.shape[1]):
            grad_bary[row, column, 0] = grad_bary[row, column, 1] = grad_bary[row, column, 2] = 0
            if face_index[row, column] < 0:
                continue
            a, b, c = faces[face_index[row, column] - first_face]
            wa, wb, wc = bary[row, column]
            x, y, z = _between(normals, a, b, c, wa, wb, wc)
            square = x * x + y * y + z * z
            length = math.sqrt(max(square, shortest))
            x, y, z = x / length, y / length, z / length
            values = _functions(x, y, z, one, three, linear, product, half_product, zonal)
            gx = gy = gz = ga = gb = gc = one - one
            for channel in range(3):
                g = grad[row, column, channel]
                ra, rb, rc = reflectance[a, channel], reflectance[b, channel], reflectance[c, channel]
                along = g * (wa * ra + wb * rb + wc * rc)  # of the irradiance
                irradiance = ambient
                for i in range(FUNCTIONS):
                    irradiance += values[i] * light[i, channel]
                    grad_light[i, channel] += values[i] * along
                by_albedo = g * irradiance
                grad_reflectance[a, channel] += wa * by_albedo
                grad_reflectance[b, channel] += wb * by_albedo
                grad_reflectance[c, channel] += wc * by_albedo
                ga, gb, gc = ga + by_albedo * ra, gb + by_albedo * rb, gc + by_albedo * rc
                xy, yz, xz = light[4, channel], light[5, channel], light[7, channel]
                zz, xx = (three + three) * zonal * light[6, channel], product * light[8, channel]
                gx += along * (linear * light[3, channel] + product * (xy * y + xz * z) + xx * x)
                gy += along * (linear * light[1, channel] + product * (xy * x + yz * z) - xx * y)
                gz += along * (linear * light[2, channel] + product * (yz * y + xz * x) + zz * z)
            if square > shortest:  # else the length is a constant
                inwards = gx * x + gy * y + gz * z
                gx, gy, gz = gx - inwards * x, gy - inwards * y, gz - inwards * z
            gx, gy, gz = gx / length, gy / length, gz / length
            for axis, g in enumerate((gx, gy, gz)):
                grad_normals[a, axis] += wa * g
                grad_normals[b, axis] += wb * g
                grad_normals[c, axis] += wc * g
            grad_bary[row, column, 0] = ga + gx * normals[a, 0] + gy * normals[a, 1] + gz * normals[a, 2]
            grad_bary[row, column, 1] = gb + gx * normals[b, 0] + gy * normals[b, 1] + gz * normals[b, 2]
            grad_bary[row, column, 2] = gc + gx * normals[c, 0] + gy * normals[c, 1] + gz * normals[c, 2]
