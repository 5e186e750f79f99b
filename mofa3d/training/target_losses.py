"""Losses against what is known about faces beyond their photographs: points, a fitted geometry, the skin's tone."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.data.landmarks_478 import LID_PAIRS
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.kernels.vertex_loss.base import PointProjection
from mofa3d.losses import LANDMARKS_46
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel
from mofa3d.objective import Batch, LossWeights
from mofa3d.semantic_code import SemanticCode

# MediaPipe's points on the inner edges of the upper and the lower lip, and on the lids, that meet when they close.
LIPS = ((82, 87), (13, 14), (312, 317))
OPENINGS = (*LIPS, *LID_PAIRS[0], *LID_PAIRS[1])
AS_MANY = len(LANDMARKS_46)  # points that all of them together count as
BEYOND = 0.15  # weight of vertices outside the frontal face


class TargetLosses:
    """The losses of a batch that has what `mofa3d.data.corpus.targets` adds.

    Args:
        model: the default model, whole.
        attached: MediaPipe's points on it.
        camera: sees the crops.
        device: of the batches.
    """

    def __init__(
        self, model: MorphableModel, attached: LandmarkBarycentric, camera: Camera, device: torch.device | str = "cpu"
    ) -> None:
        self.half = camera.image_size / 2
        self.project = PointProjection(model, attached, camera).to(device)
        self.tone = SkinTone(model).to(device)
        weights = torch.where(model.frontal, 1.0, BEYOND)
        grams = []
        for basis in (model.shape_basis, model.expression_basis):
            flat = (basis * weights.sqrt()[:, None, None]).flatten(0, 1)
            grams.append(flat.T @ flat / weights.sum())
        self.metric = torch.block_diag(*grams).to(device)  # mm² per vertex

    def __call__(self, code: SemanticCode, batch: Batch, weights: LossWeights) -> dict[str, Float[Tensor, "B"]]:
        """Unweighted losses; one that is off is absent.

        ``points`` is Eq. 9 over the dense points, ``openings`` compares how far lids and lips are apart (as
        `mofa3d.losses.lip_closure`), ``geometry`` is the mean squared distance from the fitted face in mm², shape and
        expression each for itself, and ``tone`` that of the skin's color.
        """
        terms = {}
        if weights.points or weights.openings:
            off = (self.project(code) - batch["dense"]) / self.half
            off = off * batch["dense_known"][:, None, None]
            upper, lower = (list(points) for points in zip(*OPENINGS, strict=True))
            if weights.points:
                terms["points"] = AS_MANY * off.square().sum(dim=2).mean(dim=1)
            if weights.openings:
                terms["openings"] = (off[:, upper] - off[:, lower]).square().sum(dim=(1, 2))
        if weights.geometry:
            apart = torch.cat([code.shape, code.expression], dim=1) - batch["geometry"]
            terms["geometry"] = ((apart @ self.metric) * apart).sum(dim=1) * batch["dense_known"]
        if weights.tone:
            terms["tone"] = batch["tone_weight"] * (self.tone(code.reflectance) - batch["tone"]).square().sum(dim=1)
        return terms
