"""Fit codes to photographs by damped Gauss-Newton steps, coarse to fine.

`garrido` is the coarse layer of Garrido et al. 2016, "Reconstruction of Personalized 3D Face Rigs from Monocular
Video": 50 steps. `thies` is the schedule of Thies et al. 2016, "Face2Face": few steps on a pyramid, from the average
face. Both minimise the energy of `mofa3d.fitting.energy` on a part of the vertices; Face2Face compares every pixel and
solves with a few steps of conjugate gradients, which suits a GPU, where here 257 unknowns are solved by a Cholesky
factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.fitting.energy import FitEnergy, NormalEquations, Points
from mofa3d.fitting.jacobian import SampledFace
from mofa3d.objective import Batch, LossWeights
from mofa3d.semantic_code import SemanticCode

LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e6
EASE, BRAKE = 4.0, 8.0  # factors on the damping after a step that was taken, and after one that was not
TINY = 1e-9  # of the mean diagonal, added to it: what no term holds would leave the equations singular


@dataclass(frozen=True)
class Level:
    """One level of the way from coarse to fine.

    Attributes:
        shrink: how many pixels of the photograph are averaged to one, in each direction.
        every: one in how many frontal vertices is compared.
        steps: how many are tried.
    """

    shrink: int
    every: int
    steps: int

    def __post_init__(self) -> None:
        if self.shrink < 1 or self.every < 1 or self.steps < 0:
            raise InputError(
                f"a level needs shrink and every of at least 1 and steps of at least 0, got {self.shrink}, "
                f"{self.every} and {self.steps}"
            )


@dataclass(frozen=True)
class GaussNewtonConfig:
    """How to fit.

    Attributes:
        levels: coarse to fine.
        loss: weights of the energy's terms; `background_cost` must be 0.
        damping: Marquardt's factor on the diagonal, at the start of each level.
        shape_prior: times Σα², beyond the regulariser's part of it. Colors say little about geometry, and wrong light
            much that is wrong: without this price, photometric steps lead away from the person.
        tolerance: a level ends when a step lowers the energy by less than this part of it; 0 takes all steps.
    """

    levels: tuple[Level, ...]
    loss: LossWeights = field(
        default_factory=lambda: LossWeights(regularizer=1e-3, landmark=2.0, lip_closure=10.0, coloured_light=1.0)
    )
    shape_prior: float = 5e-3
    damping: float = 1e-3
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.loss.background_cost:
            raise InputError(
                f"Gauss-Newton fits do not support a background cost, got {self.loss.background_cost}; set it to 0"
            )


def garrido(**changes) -> GaussNewtonConfig:
    """50 steps; `changes` are fields of the configuration."""
    levels = (Level(4, 10, 15), Level(2, 10, 15), Level(1, 5, 20))
    return GaussNewtonConfig(**{"levels": levels, **changes})


def thies(**changes) -> GaussNewtonConfig:
    """7, 5 and 3 steps; `changes` are fields of the configuration."""
    levels = (Level(4, 20, 7), Level(2, 10, 5), Level(1, 10, 3))
    return GaussNewtonConfig(**{"levels": levels, **changes})


class TriedStep(NamedTuple):
    """One step that was tried.

    Attributes:
        level: its number, from the coarsest.
        before, after: the level's energy; `after` is that of the code which was tried.
        accepted: whether the fit went there, which it does only if the energy falls.
    """

    level: int
    before: float
    after: float
    accepted: bool


class Fit(NamedTuple):
    """Fitted codes.

    Attributes:
        codes: of each photograph.
        steps: of each photograph, in their order.
    """

    codes: SemanticCode
    steps: list[list[TriedStep]]


class GaussNewton:
    """Fits codes to photographs, each by itself; runs on the CPU.

    Args:
        decode: gives the face model, whose precision the products have, and the camera.
        config: how to fit; see `garrido` and `thies`.

    Raises:
        InputError: the face model is not on the CPU, or a level is too coarse for the camera's image.
    """

    def __init__(self, decode: Decoder, config: GaussNewtonConfig) -> None:
        if decode.model.mean_shape.device.type != "cpu":
            device = decode.model.mean_shape.device
            raise InputError(f"fits run on the CPU, but the face model is on {device}; move it to the CPU")
        coarsest = max((level.shrink for level in config.levels), default=1)
        if decode.camera.image_size < coarsest:
            raise InputError(
                f"photographs of {decode.camera.image_size} pixels cannot be averaged {coarsest} to 1; "
                "choose a smaller shrink"
            )
        self.config, self.model, self.camera = config, decode.model, decode.camera
        self.faces = {
            every: SampledFace(self.model, self.camera, every) for every in {level.every for level in config.levels}
        }

    def __call__(self, codes: SemanticCode, batch: Batch) -> Fit:
        """Lower the energy of each photograph.

        Args:
            codes: where to start.
            batch: ``image`` (B, 3, H, W) in 0 to 1, as large as the camera's; ``landmarks`` (B, 68, 2) px and
                ``confidence`` (B, 68), which may be absent if their weight is 0.

        Raises:
            InputError: codes, photographs, face model and camera do not fit together, or landmarks are missing.
        """
        image = batch["image"]
        self._check(codes, batch)
        vectors = codes.to_vector().detach().double()
        found, steps = [], []
        for number, vector in enumerate(vectors):
            points = None
            if self.config.loss.landmark:
                points = Points(*(batch[name][number].to(image) for name in ("landmarks", "confidence")))
            vector, taken = self._fit(vector, image[number], points)
            found.append(vector)
            steps.append(taken)
        result = torch.stack(found) if found else vectors
        return Fit(SemanticCode.from_vector(result.to(codes.shape), codes.sizes), steps)

    def _check(self, codes: SemanticCode, batch: Batch) -> None:
        if len(codes) != len(batch["image"]):
            raise ValueError(f"{len(codes)} codes cannot fit {len(batch['image'])} photographs")
        if codes.sizes != self.model.sizes:
            raise ValueError(f"the model {self.model.name!r} takes codes of {self.model.sizes}, got {codes.sizes}")
        size = self.camera.image_size
        if batch["image"].shape[2:] != (size, size):
            height, width = batch["image"].shape[2:]
            raise InputError(
                f"the camera sees {size} × {size} pixels, the photographs have {height} × {width}; "
                "crop them to the camera's size"
            )
        if self.config.loss.landmark and "landmarks" not in batch:
            raise InputError("the photographs come without landmarks; detect them, or set their weight to 0")

    def _fit(
        self, vector: Float[Tensor, "D"], image: Float[Tensor, "3 H W"], points: Points | None
    ) -> tuple[Float[Tensor, "D"], list[TriedStep]]:
        image = image.to(self.model.mean_shape.dtype)
        if points is not None:
            points = Points(*(value.to(image) for value in points))
        steps: list[TriedStep] = []
        for number, level in enumerate(self.config.levels):
            energy = FitEnergy(
                self.faces[level.every], shrunk(image, level.shrink), points, self.config.loss, self.config.shape_prior
            )
            vector, taken = minimize(energy, vector, level.steps, self.config.damping, self.config.tolerance)
            steps += [TriedStep(number, *step) for step in taken]
        return vector, steps


def shrunk(image: Float[Tensor, "3 S S"], times: int) -> Float[Tensor, "T T 3"]:
    """A square image averaged to a `times` smaller one, rounded to whole pixels, with the colors last."""
    size = image.shape[-1] // times
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def minimize(
    energy: FitEnergy, vector: Float[Tensor, "D"], steps: int, damping: float, tolerance: float
) -> tuple[Float[Tensor, "D"], list[tuple[float, float, bool]]]:
    """Levenberg and Marquardt's method: a step is taken only if it lowers the energy, else the damping grows.

    Args:
        vector: where to start.
        steps: how many are tried; each needs one energy, and one Jacobian where the last was taken.
        damping, tolerance: see `GaussNewtonConfig`.

    Raises:
        InputError: the energy is not finite at the start.

    Returns:
        The best code, and (energy before, energy tried, taken) of each step.
    """
    best = energy.evaluate(vector)
    if not math.isfinite(best.total):
        raise InputError(
            f"the energy is {best.total} at the start; the photograph or the code contains NaN or infinity"
        )
    equations, taken = None, []
    for _ in range(steps):
        if equations is None:
            equations = energy.normal_equations(best)
        step = damped_step(equations, damping)
        tried = None if step is None else energy.evaluate(best.vector + step)
        after = math.inf if tried is None else tried.total
        taken.append((best.total, after, after < best.total))
        if tried is not None and after < best.total:
            gain = (best.total - after) / best.total
            best, equations = tried, None
            damping = max(damping / EASE, LEAST_DAMPING)
            if gain < tolerance:
                break
        else:
            damping *= BRAKE
            if damping > MOST_DAMPING:
                break
    return best.vector, taken


def damped_step(equations: NormalEquations, damping: float) -> Float[Tensor, "D"] | None:
    """-(H + damping · diag H)⁻¹ g, or ``None`` where rounding has left H without a Cholesky factor.

    A parameter that nothing depends on stays.
    """
    hessian = equations.hessian.clone()
    diagonal = hessian.diagonal()
    diagonal += damping * diagonal + TINY * diagonal.mean()
    factor, failed = torch.linalg.cholesky_ex(hessian)
    return None if failed else -torch.cholesky_solve(equations.gradient[:, None], factor)[:, 0]
