"""Fit shape, expression and pose to MediaPipe's 478 points by Gauss-Newton steps, many faces at a time, without colors.

Points say where a face's surface lies and nothing about light or skin, so that nothing uncertain pulls the geometry.
What they do not say is the prior's: the model's columns are N(0, 1).

Reference: the landmark term of Garrido et al. 2016 and Thies et al. 2016, alone and with the dense mesh of Grishchenko
et al. 2020, "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pytorch3d.transforms import axis_angle_to_matrix, matrix_to_axis_angle
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.fitting.color_fit import solve
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel
from mofa3d.numeric_options import check_ranges
from mofa3d.semantic_code import SemanticCode

FREE = 1e-6  # price of a radian or a millimetre that no prior holds
REFERENCE_SIZE = 240  # of the image in whose pixels noise is given


@dataclass(frozen=True)
class DenseFitConfig:
    """How to fit.

    Attributes:
        steps: of Gauss and Newton.
        noise: standard deviation of a point in pixels of a 240-pixel crop, along each axis. It is larger than a single
            point's error, because neighbouring points err alike.
        distance: standard deviation of the face's distance from where the crop puts it, mm.
    """

    steps: int = 8
    noise: float = 6.0
    distance: float = 60.0

    def __post_init__(self) -> None:
        check_ranges(self, steps=(1, 1000), noise=(1e-3, 1e6), distance=(1e-3, 1e6))


class DenseEstimate(NamedTuple):
    """What points say about faces.

    Attributes:
        code: with the average reflectance in white light.
        left: projected less given points, px.
        information: about the shape, once expression and pose are allowed for: the inverse of the covariance that the
            points alone would leave it, in standard deviations.
    """

    code: SemanticCode
    left: Float[Tensor, "B L 2"]
    information: Float[Tensor, "B S S"]


class _Pose(NamedTuple):
    coefficients: Float[Tensor, "B M"]
    rotation: Float[Tensor, "B 3 3"]
    translation: Float[Tensor, "B 3"]


class DenseFit:
    """Fits codes to points.

    Args:
        model: the face model; only what it is at the points is kept.
        attached: the points on its triangles, as of `mofa3d.models.makehuman.dense_landmarks`.
        camera: sees the crops.
        config: how to fit.
    """

    def __init__(
        self,
        model: MorphableModel,
        attached: LandmarkBarycentric,
        camera: Camera | None = None,
        config: DenseFitConfig | None = None,
    ) -> None:
        corners, weights = model.faces[attached.faces], attached.weights

        def at(values: Tensor) -> Tensor:
            return torch.einsum("lk,lk...->l...", weights, values[corners])

        self.config, self.camera, self.sizes = config or DenseFitConfig(), camera or Camera(), model.sizes
        self.mean = at(model.mean_shape)
        self.basis = torch.cat([at(model.shape_basis), at(model.expression_basis)], dim=2)

    @torch.no_grad()
    def __call__(self, points: Float[Tensor, "B L 2"], shape: Float[Tensor, "B S"] | None = None) -> DenseEstimate:
        """Fit.

        Args:
            points: in pixels of the camera's image.
            shape: where it is known; expression and pose are fitted to it.
        """
        count, modes, shapes = len(points), self.basis.shape[2], self.sizes.shape
        start = points.new_zeros(count, modes)
        if shape is not None:
            start[:, :shapes] = shape
        now = _Pose(start, torch.eye(3, dtype=points.dtype).repeat(count, 1, 1), points.new_zeros(count, 3))
        fixed = 0 if shape is None else shapes
        for _ in range(self.config.steps):
            hessian, gradient = self._equations(now, points)
            step = points.new_zeros(count, modes + 6)
            step[:, fixed:] = -solve(hessian[:, fixed:, fixed:], gradient[:, fixed:, None])[..., 0]
            now = _Pose(
                now.coefficients + step[:, :modes],
                now.rotation @ axis_angle_to_matrix(step[:, modes : modes + 3]),
                now.translation + step[:, modes + 3 :],
            )
        hessian, _ = self._equations(now, points)
        across = hessian[:, :shapes, shapes:]
        known = hessian[:, :shapes, :shapes] - torch.eye(shapes, dtype=points.dtype)
        information = known - across @ solve(hessian[:, shapes:, shapes:], across.mT)
        left = self.camera.project(self._positions(now)) - points
        return DenseEstimate(self._code(now), left, information)

    def _equations(self, now: _Pose, points: Float[Tensor, "B L 2"]) -> tuple[Tensor, Tensor]:
        """Hessian (B, M + 6, M + 6) and gradient of coefficients, a turn about the camera's axes, and translation."""
        count, modes = now.coefficients.shape
        root = REFERENCE_SIZE / (self.config.noise * self.camera.image_size)
        positions = self._positions(now)
        left = root * (self.camera.project(positions) - points).flatten(1)
        jacobian = root * self.camera.projection_jacobian(positions)  # (B, L, 2, 3)
        axes = torch.eye(3, dtype=points.dtype).expand(count, 1, 3, 3)
        turns = torch.linalg.cross(positions[:, :, None], axes, dim=-1)
        by_turn = torch.einsum("blij,blkj->blik", jacobian, turns)  # after R exp(w), points are at p - w × p
        by_point = torch.einsum("blij,bkj->blik", jacobian, now.rotation)
        by_modes = (by_point.transpose(0, 1).flatten(1, 2) @ self.basis).unflatten(1, (count, 2)).transpose(0, 1)
        rows = torch.cat([by_modes, by_turn, -by_point], dim=3).flatten(1, 2)
        prior = points.new_full((modes + 6,), FREE)
        prior[:modes], prior[-1] = 1.0, self.config.distance**-2
        gradient = (rows.mT @ left[..., None])[..., 0]
        gradient[:, :modes] += now.coefficients
        gradient[:, -1] += prior[-1] * now.translation[:, 2]
        return rows.mT @ rows + torch.diag(prior), gradient

    def _positions(self, now: _Pose) -> Float[Tensor, "B L 3"]:
        points = self.mean + torch.einsum("lkm,bm->blk", self.basis, now.coefficients)
        return (points - now.translation[:, None]) @ now.rotation

    def _code(self, now: _Pose) -> SemanticCode:
        return SemanticCode.zeros(len(now.coefficients), self.sizes).replace(
            shape=now.coefficients[:, : self.sizes.shape],
            expression=now.coefficients[:, self.sizes.shape :],
            rotation=matrix_to_axis_angle(now.rotation),
            translation=now.translation,
        )


def shared_shape(
    shapes: Float[Tensor, "B S"], information: Float[Tensor, "B S S"], people: Int[Tensor, "B"]
) -> Float[Tensor, "P S"]:
    """The likeliest shape of each person, given what each photograph says by itself.

    Each photograph's shape is α = (I + Λ)⁻¹ b, so that b can be had back from it; those of one person add up.

    Args:
        shapes: fitted to each photograph.
        information: Λ of each.
        people: number of the person that each shows, 0 to P - 1.
    """
    identity = torch.eye(shapes.shape[1], dtype=shapes.dtype)
    said = ((information + identity) @ shapes[..., None])[..., 0]
    count = int(people.max()) + 1
    matrix = identity.repeat(count, 1, 1).index_add(0, people, information)
    right = shapes.new_zeros(count, shapes.shape[1]).index_add(0, people, said)
    return solve(matrix, right[..., None])[..., 0]
