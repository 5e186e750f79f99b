"""Spherical-harmonics light: nine basis functions of the unit normal and the irradiance they carry.

The basis is the real spherical harmonics of bands 0 to 2, each multiplied by the clamped-cosine factor of its band
(1, 2/3, 1/4) and scaled so that the constant function is 1. It therefore maps light coefficients straight to
irradiance. Light lives in camera space (x right, y up, z towards the viewer).

Reference: Ramamoorthi and Hanrahan 2001; Tewari et al. 2017, Sec. 4 and Eq. 3.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_CORNERS = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if x or y or z]
AMBIENT = 0.7  # irradiance of the constant function when the illumination code is zero


def basis(normals: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 9"]:
    """Evaluate the nine functions ``[1, y, z, x, xy, yz, 3z²-1, xz, x²-y²]`` with their factors at unit normals."""
    return torch.stack(_functions(normals), dim=-1)


def basis_gradient(normals: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 9 3"]:
    """Derivatives of the nine functions with respect to x, y and z of the normal, taken as three free numbers."""
    x, y, z = normals.unbind(-1)
    linear, product, zonal = 2 / math.sqrt(3), math.sqrt(15) / 4, math.sqrt(5) / 8
    gradient = normals.new_zeros(*normals.shape[:-1], 9, 3)
    gradient[..., 1, 1] = gradient[..., 2, 2] = gradient[..., 3, 0] = linear
    gradient[..., 4, 0], gradient[..., 4, 1] = product * y, product * x
    gradient[..., 5, 1], gradient[..., 5, 2] = product * z, product * y
    gradient[..., 6, 2] = 6 * zonal * z
    gradient[..., 7, 0], gradient[..., 7, 2] = product * z, product * x
    gradient[..., 8, 0], gradient[..., 8, 1] = product * x, -product * y
    return gradient


def irradiance(normals: Float[Tensor, "B *N 3"], illumination: Float[Tensor, "B 9 3"]) -> Float[Tensor, "B *N 3"]:
    """Irradiance per color channel at unit normals in camera space, from the illumination code γ.

    The ambient 0.7 is added to the constant coefficient, so code zero is a neutral, even light. The result is not
    clamped: negative light is meaningless but keeps the gradient.
    """
    # Function-major, so that the nine rows are written contiguously: twice as fast as a last dimension of nine.
    rows = torch.stack([row.flatten(1) for row in _functions(normals)], dim=1)
    light = illumination.transpose(1, 2) @ rows + AMBIENT
    return light.transpose(1, 2).reshape(normals.shape)


def polynomial(illumination: Float[Tensor, "*B 9 3"]) -> Float[Tensor, "*B 10 3"]:
    """`irradiance` as a polynomial of a unit normal: what 1, x, y, z, x², y², z², xy, yz and xz are multiplied by."""
    linear, product, zonal = 2 / math.sqrt(3), math.sqrt(15) / 4, math.sqrt(5) / 8
    constant, y, z, x, xy, yz, zz, xz, xx = illumination.unbind(-2)
    squares = [product / 2 * xx, -product / 2 * xx, 3 * zonal * zz]
    ones = [AMBIENT + constant - zonal * zz, linear * x, linear * y, linear * z]
    return torch.stack([*ones, *squares, product * xy, product * yz, product * xz], dim=-2)


def rolled(illumination: Float[Tensor, "*B 9 3"], degrees: float | Float[Tensor, "*B"]) -> Float[Tensor, "*B 9 3"]:
    """The light turned clockwise about the line of sight, as the viewer sees it: all by one angle, or each by its own.

    Only the part of the code that depends on the direction changes: each band turns within itself.
    """
    # More points than enough fix the nine coefficients: the light at a normal is that of before at the normal turned
    # back.
    normals = torch.nn.functional.normalize(torch.tensor(_CORNERS, dtype=torch.float64), dim=1)
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64, device="cpu"))[..., None]
    x, y, z = normals.unbind(-1)
    turned_back = torch.stack(
        [angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y, z.expand(*angle.shape[:-1], -1)], dim=-1
    )
    turn = torch.linalg.pinv(basis(normals)) @ basis(turned_back)
    return turn.to(illumination) @ illumination


def _functions(normals: Tensor) -> list[Tensor]:
    x, y, z = normals.unbind(-1)
    linear, product = 2 / math.sqrt(3), math.sqrt(15) / 4
    return [
        torch.ones_like(x),
        linear * y,
        linear * z,
        linear * x,
        product * x * y,
        product * y * z,
        math.sqrt(5) / 8 * (3 * z * z - 1),
        product * x * z,
        product / 2 * (x * x - y * y),
    ]
