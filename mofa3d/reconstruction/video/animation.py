"""The mesh of a film: which morph targets it has, how they move, and ARKit's weights for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.export.arkit_csv import write_arkit
from mofa3d.export.gltf import Texture, write_glb
from mofa3d.export.morphs import MorphTargets, expression_targets, movement, two_sided, unit_targets
from mofa3d.fitting.unit_weights import UnitFit, UnitWeights
from mofa3d.models.arkit import ARKIT, has_arkit
from mofa3d.models.expression_units import choose_units, expression_units
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.arkit_take import ArkitFit
from mofa3d.semantic_code import SemanticCode

COLUMNS = 20  # of a face model without ARKit's units, whose film shows so many


class Moving(NamedTuple):
    """What moves in a film of K frames.

    Attributes:
        targets: of the mesh.
        weights: (K, J) of the targets, 0 to 1.
        arkit: ARKit's weights, if the face model has its units.
    """

    targets: MorphTargets
    weights: Float[Tensor, "K J"]
    arkit: UnitWeights | None


class FilmRig:
    """Chooses the morph targets of a film, and finds their weights.

    Args:
        model: of the face.
        blendshapes: units of expression (`mofa3d.models.expression_units.choose_units`). If ARKit's 52 are among them
            these move and the others rest; fewer move all.
        columns: of the expression basis, instead of units; by default ARKit's units where the model has them, and some
            columns where it does not.

    Raises:
        InputError: both are given, or the model does not have them.
    """

    def __init__(self, model: MorphableModel, blendshapes: tuple[str, ...] = (), columns: int | None = None) -> None:
        if blendshapes and columns:
            raise InputError("the mesh of a video moves either units or expression modes; give only one of the two")
        self.model, units = model, expression_units(model)
        self.arkit = ArkitFit(model, units) if has_arkit(units) else None
        if not blendshapes and columns is None and self.arkit is not None:
            blendshapes = ("arkit",)
        self.units = choose_units(units, blendshapes)
        count = min(COLUMNS, model.sizes.expression) if columns is None else columns
        self.columns = MorphTargets((), model.mean_shape.new_zeros(0, *model.mean_shape.shape))
        if not self.units:
            self.columns = expression_targets(model, count)

    def __call__(self, expression: Float[Tensor, "K E"], times: Float[np.ndarray, "K"]) -> Moving:
        """What moves as expressions do.

        Args:
            expression: codes δ.
            times: of the frames, seconds, increasing.
        """
        arkit = None if self.arkit is None else self.arkit.film(expression, times)
        if not self.units:
            targets, weights = two_sided(self.columns, expression[:, : len(self.columns.names)].cpu())
            return Moving(_on_cpu(targets), weights, arkit)
        found = arkit
        if found is None or not has_arkit(self.units):
            found = UnitFit(self.model, self.units)(expression, times)
        weights = torch.zeros(len(expression), len(self.units), dtype=torch.float32)
        places = [list(self.units).index(name) for name in found.names]
        weights[:, places] = torch.from_numpy(found.weights).float()
        return Moving(_on_cpu(unit_targets(self.model, self.units)), weights, arkit)


def _on_cpu(targets: MorphTargets) -> MorphTargets:
    return MorphTargets(targets.names, targets.displacements.cpu())


def held(frames: Int[np.ndarray, "K"], wanted: Int[np.ndarray, "T"]) -> Int[np.ndarray, "T"]:
    """For each frame the row of the face that it shows, or that it showed last; before the first, the first."""
    return np.searchsorted(frames, wanted, side="right").clip(1) - 1


def write_film_mesh(
    path: Path,
    model: MorphableModel,
    codes: SemanticCode,
    moving: Moving,
    frames: Int[np.ndarray, "K"],
    times: Float[np.ndarray, "T"],
    texture: Texture | None = None,
) -> None:
    """Write the identity at rest, moved as in the film; where there is no face, it keeps still.

    Args:
        model: of the face, on the CPU.
        codes: K with one identity, in one camera (`FacePath.in_one_camera`).
        moving: their expressions.
        frames: that show the face.
        times: of all frames of the film, seconds.
        texture: of the face; by default its vertices have the model's colors.
    """
    every = np.arange(frames[0], frames[-1] + 1)
    rows = torch.from_numpy(held(frames, every))
    vertices = model.geometry(codes.shape[:1], torch.zeros_like(codes.expression[:1]))[0]
    appearance = model.reflectance(codes.reflectance[:1])[0] if texture is None else texture
    seconds = torch.from_numpy(times[every] - times[every[0]])
    moved = movement(codes[rows], moving.weights[rows], seconds)
    write_glb(path, vertices, model.faces, appearance, moving.targets, moved)


def write_film_arkit(
    path: Path,
    fit: ArkitFit,
    codes: SemanticCode,
    found: UnitWeights,
    frames: Int[np.ndarray, "K"],
    times: Float[np.ndarray, "T"],
) -> None:
    """Write ARKit's weights for every frame of the film (see `write_film_mesh`); gaps hold what was seen last."""
    rows = held(frames, np.arange(len(times)))
    weights = found._replace(weights=found.weights[rows])
    seconds = torch.from_numpy(times)
    head = movement(
        codes[torch.from_numpy(rows)], torch.zeros(len(rows), len(ARKIT), dtype=torch.float32), seconds
    ).rotations
    write_arkit(path, fit.take(weights, times, head.double().numpy()))
