"""How strong each named unit of expression is in an estimated expression, from 0 to 1, as rigs of other programs want.

An expression code says where vertices lie; units overlap, only push, and stop at full strength. So their weights are
found by least squares on the vertices of the face, each as heavy as its share of the surface, between 0 and 1.
Where several units do the same, the fewest are preferred, and over a film those of the frame before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import cholesky_banded
from scipy.linalg.lapack import dpbtrs
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.models.vertex_areas import vertex_areas
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import check_ranges

STEPS = 1000  # of ADMM at most
STIFF = 0.5  # mm²: ADMM's penalty
RELAXED = 1.7  # ADMM's over-relaxation
EXACT = 1e-4  # change of a weight below which it has settled
SAMPLES = 4000  # about so many vertices tell the error
CHUNK = 32  # frames whose error is measured at once
RATE = 25.0  # frames per second for which `steadiness` is given


@dataclass(frozen=True)
class UnitFitConfig:
    """What weights cost, as mean squared millimetres of the face.

    Attributes:
        price: of a unit at full strength, in proportion: the fewest units are used.
        ridge: of its square: makes the solution the only one.
        steadiness: of the square of what a unit changes by from a frame to the next at 25 frames per second.
    """

    price: float = 6e-3
    ridge: float = 1e-3
    steadiness: float = 0.02

    def __post_init__(self) -> None:
        check_ranges(self, price=(0, 1e6), ridge=(1e-9, 1e6), steadiness=(0, 1e6))


class UnitWeights(NamedTuple):
    """Weights of units over time.

    Attributes:
        names: of the units.
        weights: (T, U) 0 to 1.
        error: (T,) mm: mean distance over the face's surface between the expression and what the weights make of it.
    """

    names: tuple[str, ...]
    weights: Float[np.ndarray, "T U"]
    error: Float[np.ndarray, "T"]


class UnitFit:
    """Finds the weights of one face model's units.

    Args:
        model: of the codes; its frontal vertices count.
        units: expression codes at full strength, by name (`mofa3d.models.expression_units`).
        config: what weights cost.

    Raises:
        InputError: there is no unit.
    """

    def __init__(
        self, model: MorphableModel, units: Mapping[str, Float[Tensor, "E"]], config: UnitFitConfig | None = None
    ) -> None:
        if not units:
            raise InputError("there are no expression units to find weights of; name some")
        self.names, self.config = tuple(units), config or UnitFitConfig()
        self.codes = torch.stack(list(units.values())).double().cpu().numpy()
        frontal = model.frontal.cpu().numpy()
        area = vertex_areas(model.mean_shape.double().cpu().numpy(), model.faces.cpu().numpy())[frontal]
        basis = model.expression_basis.double().cpu().numpy()[frontal]
        rows = (np.sqrt(area / area.sum())[:, None, None] * basis).reshape(-1, basis.shape[2])
        self.metric = rows.T @ rows  # mean squared mm of a code
        self.inner = self.codes @ self.metric @ self.codes.T + self.config.ridge * np.eye(len(self.codes))
        self.values, self.axes = np.linalg.eigh(self.inner)
        every = max(1, len(basis) // SAMPLES)
        self.area = area[::every] / area[::every].sum()
        self.basis = np.ascontiguousarray(basis[::every].reshape(-1, basis.shape[2]).T)  # (E, 3 times the samples)

    def __call__(self, expression: Float[Tensor, "T E"], times: Float[np.ndarray, "T"] | None = None) -> UnitWeights:
        """The weights of expressions.

        Args:
            expression: codes δ.
            times: of a film's frames, seconds, increasing; by default each expression is one by itself.
        """
        codes = expression.detach().double().cpu().numpy()
        weights = self._solved(codes, times)
        left = codes - weights @ self.codes
        errors = [self._distances(left[start : start + CHUNK]) for start in range(0, len(left), CHUNK)]
        return UnitWeights(self.names, weights, np.concatenate(errors))

    def _solved(self, codes: Float[np.ndarray, "T E"], times: np.ndarray | None) -> Float[np.ndarray, "T U"]:
        """Least squares between 0 and 1 by ADMM: a linear system, its bounds, and what they disagree about by turns.

        The system's axes are those in which units do not overlap; along each, the frames are a chain.
        """
        wanted = codes @ self.metric @ self.codes.T - self.config.price / 2
        steady = None if times is None else self.config.steadiness / (RATE * np.diff(times))
        solve = _alone(self.values) if steady is None else _chained(self.values, steady)
        bound = (wanted / np.diag(self.inner)).clip(0, 1)
        gap = np.zeros_like(bound)
        along = wanted @ self.axes
        for number in range(STEPS):
            free = solve(along + STIFF * ((bound - gap) @ self.axes)) @ self.axes.T
            before, past = bound, RELAXED * free + (1 - RELAXED) * bound
            bound = (past + gap).clip(0, 1)
            gap += past - bound
            settled = number % 10 == 9 and max(np.abs(free - bound).max(), np.abs(bound - before).max()) < EXACT
            if settled:
                break
        return bound

    def _distances(self, codes: Float[np.ndarray, "T E"]) -> Float[np.ndarray, "T"]:
        """Mean distances that expressions move the face, mm."""
        moved = (codes @ self.basis).reshape(len(codes), -1, 3)
        return np.sqrt(np.einsum("tsc,tsc->ts", moved, moved)) @ self.area


def _alone(values: Float[np.ndarray, "U"]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda right: right / (values + STIFF)


def _chained(values: Float[np.ndarray, "U"], stiff: Float[np.ndarray, "K"]) -> Callable[[np.ndarray], np.ndarray]:
    """Frames (T, U) that hold on to their neighbours: a tridiagonal system for each axis."""
    held = np.zeros(len(stiff) + 1)
    held[1:] += stiff
    held[:-1] += stiff
    above = np.r_[0.0, -stiff]
    factors = [cholesky_banded(np.stack([above, value + STIFF + held])) for value in values]

    def solve(right: np.ndarray) -> np.ndarray:
        # LAPACK itself: SciPy's checks of each call take several times as long.
        return np.stack([dpbtrs(each, row)[0] for each, row in zip(factors, right.T, strict=True)], axis=1)

    return solve
