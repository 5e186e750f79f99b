"""Where the eyes look: the turn of each iris against its place in a face at rest."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.models.makehuman import dense_landmarks
from mofa3d.morphable_model import MorphableModel

# Right, top, left and bottom of the iris as one sees it, of the subject's left and right eye, among the 478 points.
RINGS = ((474, 475, 476, 477), (469, 470, 471, 472))


def gaze(model: MorphableModel, expression: Float[Tensor, "T E"]) -> Float[Tensor, "T 2 2"]:
    """Yaw and pitch of the left and of the right eye against the head, radians.

    Yaw is positive to the subject's left, pitch is positive down, as turns about +Y and +X.

    Args:
        model: the default one, whose irises are known.
        expression: codes δ.
    """
    attached = dense_landmarks()
    rows = torch.tensor(RINGS).flatten()
    corners, weights = model.faces.cpu()[attached.faces[rows]], attached.weights[rows].double()

    def at(values: Tensor) -> Tensor:
        return torch.einsum("lk,lk...->l...", weights, values.detach().cpu()[corners].double())

    moved = torch.einsum("lce,te->tlc", at(model.expression_basis), expression.detach().cpu().double())
    rest = at(model.mean_shape)
    return _angles(rest + moved) - _angles(rest[None])


def _angles(points: Float[Tensor, "T 8 3"]) -> Float[Tensor, "T 2 2"]:
    ring = points.unflatten(1, (2, 4))
    axis = torch.linalg.cross(ring[:, :, 0] - ring[:, :, 2], ring[:, :, 1] - ring[:, :, 3])
    axis = axis * torch.where(axis[..., 2:] < 0, -1.0, 1.0)  # out of the face
    x, y, z = axis.unbind(2)
    return torch.stack([torch.atan2(x, z), torch.atan2(-y, torch.hypot(x, z))], dim=2)
