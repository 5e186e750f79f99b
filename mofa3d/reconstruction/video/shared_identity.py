"""One identity for all frames of a video, with pose and expression that keep every frame's landmarks in place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix, matrix_to_axis_angle
from pytorch3d.transforms.so3 import hat
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.fitting.color_fit import solve
from mofa3d.morphable_model import MorphableModel
from mofa3d.semantic_code import SemanticCode

STEPS = 4
EXPRESSION_WEIGHT = 1.0  # px² per squared standard deviation from what the frame alone said
CHUNK = 256  # frames solved at once


def shared_identity(codes: SemanticCode) -> tuple[Float[Tensor, "S"], Float[Tensor, "R"]]:
    """Shape and reflectance as medians over frames: wrong frames, as long as they are the minority, do not count."""
    return codes.shape.median(dim=0).values, codes.reflectance.median(dim=0).values


def with_shape(codes: SemanticCode, shape: Float[Tensor, "S"], model: MorphableModel, camera: Camera) -> SemanticCode:
    """Exchange the shape of codes, and fit pose and expression so that the landmarks stay where they were.

    Gauss-Newton steps on the 68 projected points (Eq. 9, the codes' own landmarks in place of the photograph's), with
    a quadratic prior that holds the expressions; it may be too weak to bring back a shape that is wholly different.

    Args:
        codes: of K frames.
        shape: of all of them.
        model: its landmarks and bases are used.
        camera: of the codes' crops.
    """
    parts = [_with_shape(codes[slice(k, k + CHUNK)], shape, model, camera) for k in range(0, len(codes), CHUNK)]
    return SemanticCode.from_vector(torch.cat([part.to_vector() for part in parts]), codes.sizes)


def _with_shape(codes: SemanticCode, shape: Tensor, model: MorphableModel, camera: Camera) -> SemanticCode:
    mean, shape_basis, expression_basis = _landmark_model(model)
    turn = axis_angle_to_matrix(codes.rotation.double()).transpose(1, 2)
    place = -(turn @ codes.translation.double()[..., None])[..., 0]
    given = codes.expression.double()
    target = camera.project(
        _moved(mean + _combine(shape_basis, codes.shape.double()) + _combine(expression_basis, given), turn, place)
    )
    rest = mean + _combine(shape_basis, shape.double()[None])
    expression = given
    for _ in range(STEPS):
        around = (rest + _combine(expression_basis, expression)) @ turn.transpose(1, 2)
        positions = around + place[:, None]
        # A small turn ω about the origin moves a point by ω × a = -[a]ₓ ω.
        moves = torch.cat(
            [
                -hat(around.flatten(0, 1)).unflatten(0, around.shape[:2]),
                torch.eye(3).to(around).expand(*around.shape, 3),
                torch.einsum("bij,pjk->bpik", turn, expression_basis),
            ],
            dim=3,
        )
        jacobian = (camera.projection_jacobian(positions) @ moves).flatten(1, 2)
        residual = (camera.project(positions) - target).flatten(1)
        weight = jacobian.new_full((jacobian.shape[2],), EXPRESSION_WEIGHT)
        weight[:6] = 0
        hessian = jacobian.transpose(1, 2) @ jacobian + torch.diag(weight)
        gradient = (jacobian.transpose(1, 2) @ residual[..., None])[..., 0]
        gradient[:, 6:] += EXPRESSION_WEIGHT * (expression - given)
        step = -solve(hessian, gradient[..., None])[..., 0]
        turn = axis_angle_to_matrix(step[:, :3]) @ turn
        place, expression = place + step[:, 3:6], expression + step[:, 6:]
    back = turn.transpose(1, 2)
    return codes.replace(
        shape=shape.expand_as(codes.shape),
        expression=expression.to(codes.expression),
        rotation=matrix_to_axis_angle(back).to(codes.rotation),
        translation=-(back @ place[..., None])[..., 0].to(codes.translation),
    )


def _landmark_model(model: MorphableModel) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (68, 3) and bases (68, 3, ·) of the landmarks alone."""
    values = (model.mean_shape, model.shape_basis, model.expression_basis)
    return tuple(model.at_landmarks(value.double()) for value in values)


def _combine(basis: Float[Tensor, "P 3 D"], code: Float[Tensor, "B D"]) -> Float[Tensor, "B P 3"]:
    return torch.einsum("pcd,bd->bpc", basis, code)


def _moved(points: Float[Tensor, "B P 3"], turn: Float[Tensor, "B 3 3"], place: Float[Tensor, "B 3"]) -> Tensor:
    return points @ turn.transpose(1, 2) + place[:, None]
