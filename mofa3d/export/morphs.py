"""Morph targets for a face: expression columns that a viewer can turn up, and movements of them over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_quaternion, quaternion_apply, quaternion_invert
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.morphable_model import MorphableModel
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class MorphTargets:
    """Named displacements of the model's vertices at weight 1.

    Attributes:
        names: one for each target.
        displacements: (K, N, 3) mm.
    """

    names: tuple[str, ...]
    displacements: Float[Tensor, "K N 3"]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.displacements):
            raise InputError(f"{len(self.displacements)} morph targets have {len(self.names)} names; give one for each")


@dataclass(frozen=True)
class Movement:
    """Expression and head pose over time.

    Attributes:
        times: (T,) seconds from the start, increasing.
        weights: (T, K) of the morph targets.
        rotations: (T, 4) unit quaternions (x, y, z, w) from model to camera space; neighbours have the same sign.
        translations: (T, 3) mm: where the model's origin lies in camera space.
    """

    times: Float[Tensor, "T"]
    weights: Float[Tensor, "T K"]
    rotations: Float[Tensor, "T 4"]
    translations: Float[Tensor, "T 3"]


def expression_targets(model: MorphableModel, count: int) -> MorphTargets:
    """The first columns of a model's expression basis as morph targets.

    They are named "expression_01" and so on: principal components have no meaning that a word would tell.

    Raises:
        InputError: the model has fewer columns.
    """
    if not 0 <= count <= model.sizes.expression:
        raise InputError(
            f"{model.name!r} has {model.sizes.expression} expression columns, so there can be 0 to as many morph "
            f"targets, not {count}"
        )
    names = tuple(f"expression_{number:02d}" for number in range(1, count + 1))
    return MorphTargets(names, model.expression_basis[..., :count].permute(2, 0, 1))


def unit_targets(model: MorphableModel, units: Mapping[str, Float[Tensor, "E"]]) -> MorphTargets:
    """Expressions with a name as morph targets, so that other programs find jawOpen where they look for it.

    Args:
        units: expression codes by name, as `mofa3d.models.expression_units` gives them; weight 1 of a target is its
            code.
    """
    codes = torch.stack(list(units.values())) if units else model.mean_shape.new_zeros(0, model.sizes.expression)
    return MorphTargets(tuple(units), torch.einsum("nce,ke->knc", model.expression_basis, codes))


def resting(code: SemanticCode, count: int) -> SemanticCode:
    """A code whose first expression columns, which are morph targets, are at rest."""
    expression = code.expression.clone()
    expression[:, :count] = 0
    return code.replace(expression=expression)


def two_sided(targets: MorphTargets, weights: Float[Tensor, "T K"]) -> tuple[MorphTargets, Float[Tensor, "T J"]]:
    """The same movement with weights from 0 to 1: two targets for each, one for either direction, at full strength.

    Principal components have weights of either sign and beyond 1, which programs cut off: Blender's sliders, for one,
    end at 0 and 1. Directions that the film does not take have no target.
    """
    names, displacements, columns = [], [], []
    for number, name in enumerate(targets.names):
        for suffix, sign in (("plus", 1.0), ("minus", -1.0)):
            weight = (sign * weights[:, number]).clamp_min(0)
            most = weight.max() if len(weight) else weight.new_zeros(())
            if most > 0:
                names.append(f"{name}_{suffix}")
                displacements.append(sign * most.to(targets.displacements) * targets.displacements[number])
                columns.append(weight / most)
    kept = torch.stack(displacements) if names else targets.displacements[:0]
    return MorphTargets(tuple(names), kept), torch.stack(columns, 1) if names else weights[:, :0]


def movement(codes: SemanticCode, weights: Float[Tensor, "T K"], times: Float[Tensor, "T"]) -> Movement:
    """The movement that a sequence of codes shows, one frame each.

    Args:
        codes: how the head is turned and where it is; nothing else of them counts.
        weights: of the morph targets.
        times: (T,) when each is shown, seconds from the start.

    Raises:
        InputError: there is no code, or the times are not one for each and increasing.
    """
    if len(codes) == 0 or len(times) != len(codes) or not (times.diff() > 0).all():
        raise InputError(
            f"an animation needs at least one code, and times that increase, got {len(codes)} codes and {len(times)} "
            "times"
        )
    # Camera space is R⁻¹ (v − t) (Tewari et al. 2017, Sec. 5).
    turned = quaternion_invert(axis_angle_to_quaternion(codes.rotation))
    translations = -quaternion_apply(turned, codes.translation)
    # A quaternion and its negative are one rotation, but a viewer that interpolates between them spins the head.
    flips = torch.where((turned[1:] * turned[:-1]).sum(dim=1) < 0, -1.0, 1.0).cumprod(dim=0)
    rotations = torch.cat([turned[:1], turned[1:] * flips[:, None]])[:, [1, 2, 3, 0]]
    return Movement(times, weights, rotations, translations)
