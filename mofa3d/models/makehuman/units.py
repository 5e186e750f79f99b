"""MakeHuman's expression units in the coefficients of the default model, and the file that keeps them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors

TOLERANCE = 0.02  # mm at every vertex that a coefficient of one standard deviation has to be worth
LEAST_EXPLAINED = 0.75  # share of a unit's movement; the nostrils' flare is hardly in the model
LEAST_MOVED = 0.01  # mm, root mean square; below it a unit moves nothing of the face's front


@dataclass(frozen=True)
class ExpressionUnits:
    """What single units of the face do, as expression codes.

    Attributes:
        names: of the units, as MakeHuman calls them.
        codes: (U, E) a unit at full strength, in standard deviations.
        explained: (U,) share of a unit's squared movement of the frontal vertices that its code has, up to 1.
        landmarks: (68, 3, E) mm, the model's expression basis at its landmarks, which tells the model it belongs to.
    """

    names: tuple[str, ...]
    codes: Float[Tensor, "U E"]
    explained: Float[Tensor, "U"]
    landmarks: Float[Tensor, "68 3 E"]


def fit_units(
    movements: Float[np.ndarray, "V 3 U"], basis: Float[np.ndarray, "V 3 E"]
) -> tuple[Float[np.ndarray, "U E"], Float[np.ndarray, "U"]]:
    """Codes of the units and the share of each that they explain: least squares with a small ridge.

    Args:
        movements: mm, of the units at full strength.
        basis: mm per standard deviation, at the same vertices.
    """
    count, _, columns = basis.shape
    basis, movements = basis.reshape(3 * count, -1), movements.reshape(3 * count, -1)
    ridge = count * TOLERANCE**2 * np.eye(columns)
    codes = np.linalg.solve(basis.T @ basis + ridge, basis.T @ movements)
    total = np.square(movements).sum(axis=0)
    left = np.square(movements - basis @ codes).sum(axis=0)
    moved = total > count * LEAST_MOVED**2
    return codes.T, np.where(moved, 1 - left / np.where(moved, total, 1), 0.0)


def make_units(
    names: list[str], codes: np.ndarray, explained: np.ndarray, landmarks: Float[np.ndarray, "68 3 E"]
) -> ExpressionUnits:
    """The units that the model has, without those it explains badly."""
    good = explained >= LEAST_EXPLAINED
    return ExpressionUnits(
        names=tuple(name for name, wanted in zip(names, good, strict=True) if wanted),
        codes=torch.from_numpy(codes[good]).float(),
        explained=torch.from_numpy(explained[good]).float(),
        landmarks=torch.from_numpy(landmarks).float(),
    )


def save_units(units: ExpressionUnits, path: Path) -> None:
    """Write units to a ``.safetensors`` file, atomically."""
    tensors = {name: getattr(units, name) for name in ("codes", "explained", "landmarks")}
    write_tensors(path, tensors, {"mofa3d": json.dumps({"units": units.names})})


def read_units_file(path: Path) -> ExpressionUnits:
    """Read what `save_units` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds no units.
    """
    try:
        tensors, metadata = read_tensors(path)
        names = json.loads(metadata["mofa3d"])["units"]
        parts = {key: tensors[key] for key in ("codes", "explained", "landmarks")}
        return ExpressionUnits(names=tuple(names), **parts)
    except (ValueError, KeyError, TypeError) as error:  # of json
        raise InputError(f"{path} contains no valid expression units ({error}); install mofa3d again") from error
