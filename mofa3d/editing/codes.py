"""Change a semantic code: pose, expression, light and reflectance. Nothing here draws.

Every function takes codes and returns new ones. Directions are those of camera space, as one sees them in the
photograph: x to the right, y up, z towards the viewer (see `mofa3d.camera`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix, matrix_to_axis_angle
from torch import Tensor

from mofa3d.editing.limits import DEGREES, LIGHTER, MILLIMETRES
from mofa3d.errors import InputError
from mofa3d.models.expression_units import Units, combine
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import within
from mofa3d.pictures.color import LUMA
from mofa3d.semantic_code import SemanticCode


def turn(
    code: SemanticCode, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, tilt: float = 0.0
) -> SemanticCode:
    """Turn faces about the middle of the head, which stays where it is; the light stays too.

    Args:
        yaw: degrees to the right of the picture.
        pitch: degrees upwards.
        roll: degrees clockwise in the picture. The order is roll, pitch, yaw, about the axes of the camera.
        tilt: degrees by which the codes' crops are turned clockwise in the picture whose directions these are.

    Raises:
        InputError: an angle is not finite, or beyond ten turns.
    """
    for name, angle in {"yaw": yaw, "pitch": pitch, "roll": roll}.items():
        within(name, angle, *DEGREES)
    about_y, about_x, about_z = (_about(axis, angle, code) for axis, angle in ((1, yaw), (0, -pitch), (2, -roll)))
    upright = _about(2, tilt, code)  # from the picture's axes to the crop's
    before = axis_angle_to_matrix(code.rotation)
    # Camera space is R⁻¹ (v − t). Turned by Q about the origin of the model, which lies at −R⁻¹ t, it is R'⁻¹ (v − t')
    # with R' = R Q⁻¹ and t' = R' R⁻¹ t.
    turned = upright @ about_y @ about_x @ about_z @ upright.transpose(-1, -2)
    after = before @ turned.transpose(-1, -2)
    place = before.transpose(1, 2) @ code.translation[..., None]
    return code.replace(rotation=matrix_to_axis_angle(after), translation=(after @ place)[..., 0])


def move(
    code: SemanticCode, right: float = 0.0, up: float = 0.0, nearer: float = 0.0, tilt: float = 0.0
) -> SemanticCode:
    """Move faces by millimetres along the axes of the camera, or of a picture; `tilt` as in `turn`.

    Raises:
        InputError: a way is not finite, or longer than ten metres.
    """
    for name, way in {"right": right, "up": up, "nearer": nearer}.items():
        within(name, way, *MILLIMETRES)
    offset = _about(2, tilt, code) @ code.translation.new_tensor([right, up, nearer])
    return code.replace(translation=code.translation - axis_angle_to_matrix(code.rotation) @ offset)


def neutral(code: SemanticCode) -> SemanticCode:
    """The same faces without any expression."""
    return code.replace(expression=torch.zeros_like(code.expression))


def add_expression(code: SemanticCode, units: Units, strengths: Mapping[str, float]) -> SemanticCode:
    """The same faces with units of expression added to what they show; see `combine` for the strengths and errors."""
    return code.replace(expression=code.expression + combine(units, strengths).to(code.expression))


def transfer_expression(
    code: SemanticCode, source: SemanticCode, source_neutral: SemanticCode | None = None
) -> SemanticCode:
    """Give faces the expression of others.

    Args:
        code: the faces, whose own expression goes.
        source: the faces that show the expression.
        source_neutral: the same persons at rest. What their code says then is no expression of theirs but their shape
            or the encoder's habit, and is left out. By default the model's neutral face.

    Raises:
        InputError: codes of different models.
    """
    _check_sizes(code, source, "expression")
    expression = source.expression
    if source_neutral is not None:
        _check_sizes(code, source_neutral, "expression")
        expression = expression - source_neutral.expression
    return code.replace(expression=expression.expand_as(code.expression))


def relight(code: SemanticCode, illumination: Float[Tensor, "*B 9 3"]) -> SemanticCode:
    """The same faces in another light: another code's ``illumination``, or one of `mofa3d.editing.lighting`."""
    return code.replace(illumination=illumination.to(code.illumination).expand_as(code.illumination))


def blend_reflectance(code: SemanticCode, share: float, source: SemanticCode | None = None) -> SemanticCode:
    """Mix the faces' reflectance with that of others, or with the mean's.

    Args:
        share: of the others, 0 to 1.
        source: the others; by default the mean face.

    Raises:
        InputError: the share is outside 0 to 1, or codes of different models.
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of the other reflectance must be from 0 to 1, got {share:g}")
    if source is None:
        return code.replace(reflectance=(1 - share) * code.reflectance)
    _check_sizes(code, source, "reflectance")
    return code.replace(reflectance=torch.lerp(code.reflectance, source.reflectance.to(code.reflectance), share))


def lighten(code: SemanticCode, model: MorphableModel, amount: float) -> SemanticCode:
    """Make the faces' skin lighter, or darker with a negative amount, along the most probable reflectances.

    Args:
        model: of the codes.
        amount: by which the mean luminance of the frontal vertices changes, in display RGB.

    Raises:
        InputError: the amount is outside -1 to 1.
    """
    within("the amount by which skin gets lighter", amount, *LIGHTER)
    weights = model.reflectance_basis.new_tensor(LUMA)
    gradient = torch.einsum("nck,c->k", model.reflectance_basis[model.frontal], weights) / int(model.frontal.sum())
    # The code's prior is N(0, 1), so the shortest step is the most probable one.
    step = amount * gradient / gradient.square().sum().clamp_min(1e-12)
    return code.replace(reflectance=code.reflectance + step.to(code.reflectance))


def _about(axis: int, degrees: float, code: SemanticCode) -> Float[Tensor, "3 3"]:
    vector = code.rotation.new_zeros(3)
    vector[axis] = math.radians(degrees)
    return axis_angle_to_matrix(vector)


def _check_sizes(code: SemanticCode, other: SemanticCode, block: str) -> None:
    if getattr(code.sizes, block) != getattr(other.sizes, block):
        raise InputError(
            f"the faces have {getattr(code.sizes, block)} and {getattr(other.sizes, block)} {block} coefficients; "
            "take codes of one face model"
        )
