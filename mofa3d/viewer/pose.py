"""Turn a face in place."""

from __future__ import annotations

import math

from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix, matrix_to_axis_angle
from torch import Tensor

from mofa3d.semantic_code import SemanticCode


def turn(code: SemanticCode, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> SemanticCode:
    """Turn faces about the middle of the head, which stays where it is; the light stays too.

    Args:
        yaw: degrees to the right of the picture.
        pitch: degrees upwards.
        roll: degrees clockwise in the picture. The order is roll, pitch, yaw, about the axes of the camera.
    """
    about_y, about_x, about_z = (_about(axis, angle, code) for axis, angle in ((1, yaw), (0, -pitch), (2, -roll)))
    before = axis_angle_to_matrix(code.rotation)
    # Camera space is R⁻¹ (v − t). Turned by Q about the origin of the model, which lies at −R⁻¹ t, it is R'⁻¹ (v − t')
    # with R' = R Q⁻¹ and t' = R' R⁻¹ t.
    after = before @ (about_y @ about_x @ about_z).transpose(-1, -2)
    place = before.transpose(1, 2) @ code.translation[..., None]
    return code.replace(rotation=matrix_to_axis_angle(after), translation=(after @ place)[..., 0])


def _about(axis: int, degrees: float, code: SemanticCode) -> Float[Tensor, "3 3"]:
    vector = code.rotation.new_zeros(3)
    vector[axis] = math.radians(degrees)
    return axis_angle_to_matrix(vector)
