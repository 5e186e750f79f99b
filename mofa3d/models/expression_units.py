"""Named units of expression: what a face model's coefficients have to be for a smile or an open jaw."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.models.arkit import arkit_units
from mofa3d.morphable_model import MorphableModel

# Sums of units that belong together; a number is the strength within the sum.
COMBINATIONS = {
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.3, "cheekSquintRight": 0.3},
    "frown": {"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "browRaise": {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0},
    "browLower": {"browDownLeft": 1.0, "browDownRight": 1.0},
    "squint": {"eyeSquintLeft": 1.0, "eyeSquintRight": 1.0},
    "sneer": {"noseSneerLeft": 1.0, "noseSneerRight": 1.0},
    "surprise": {
        "browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0,
        "eyeWideLeft": 0.6, "eyeWideRight": 0.6, "jawOpen": 0.5,
    },
}  # fmt: skip
STRONGEST = 2.0  # either way; beyond it no face looks like one
SAME = 0.01  # mm by which the basis may differ at a landmark from the one that units were made for

Units = Mapping[str, Float[Tensor, "E"]]


def expression_units(model: MorphableModel) -> dict[str, Float[Tensor, "E"]]:
    """Expression codes of a model's units at full strength, by name, in standard deviations.

    The default model has MakeHuman's units, named as ARKit's (``jawOpen``, ``mouthSmileLeft``: the subject's left) or
    in MakeHuman's own words (``mouth-open``), and the sums of `COMBINATIONS`. Other models have their columns,
    ``expression_1`` and so on.
    """
    named = _makehuman_units(model)
    if named is None:
        columns = torch.eye(model.sizes.expression).to(model.mean_shape)
        return {f"expression_{number}": column for number, column in enumerate(columns, start=1)}
    sums = {
        name: torch.stack([strength * named[unit] for unit, strength in parts.items()]).sum(dim=0)
        for name, parts in COMBINATIONS.items()
    }
    return {**sums, **named}


def parse_strengths(arguments: tuple[str, ...], units: Units) -> dict[str, float]:
    """Strengths of units from ``name=strength``; a name alone is full strength.

    Raises:
        InputError: no unit has that name, or the strength is no number from -2 to 2.
    """
    strengths = {}
    for argument in arguments:
        name, given, number = argument.partition("=")
        try:
            strengths[name] = float(number) if given else 1.0
        except ValueError:  # of float()
            raise InputError(f"expression {argument!r}: {number!r} is not a number; write {name}=0.5") from None
    combine(units, strengths)
    return strengths


def combine(units: Units, strengths: Mapping[str, float]) -> Float[Tensor, "E"]:
    """The expression code of several units together.

    Args:
        units: see `expression_units`.
        strengths: of some of them; 0 is at rest, 1 full, and a negative one moves the other way.

    Raises:
        InputError: no unit has that name, or a strength is beyond -2 to 2.
    """
    for name, strength in strengths.items():
        if name not in units:
            raise InputError(f"there is no expression unit {name!r}; {_suggestion(name, units)}")
        if not -STRONGEST <= strength <= STRONGEST:
            raise InputError(
                f"the strength of {name} is {strength:g}; give one from 0 (at rest) to 1 (full), or at most "
                f"{STRONGEST:g} either way"
            )
    total = torch.zeros_like(next(iter(units.values()))) if units else torch.zeros(0, dtype=torch.float32)
    for name, strength in strengths.items():
        total = total + strength * units[name]
    return total


def choose_units(units: Units, names: Sequence[str]) -> dict[str, Float[Tensor, "E"]]:
    """Some of the units, in the order of the names.

    Args:
        units: see `expression_units`.
        names: ``arkit`` means the 52 of ARKit, and ``all`` every unit but the sums of several, which are had by name.

    Raises:
        InputError: no unit has that name, or ARKit's are not among them.
    """
    chosen: dict[str, Float[Tensor, "E"]] = {}
    for name in names:
        if name == "all":
            chosen |= {unit: code for unit, code in units.items() if unit not in COMBINATIONS}
        elif name == "arkit":
            chosen |= arkit_units(units)
        else:
            combine(units, {name: 1.0})
            chosen[name] = units[name]
    return chosen


def _suggestion(name: str, units: Units) -> str:
    if not units:
        return "this face model has no expressions"
    by_lower = {unit.lower(): unit for unit in units}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    if near:
        return f"did you mean {', '.join(by_lower[unit] for unit in near)}?"
    return f"there are, among others, {', '.join(list(units)[:5])}"


def _makehuman_units(model: MorphableModel) -> dict[str, Float[Tensor, "E"]] | None:
    """The default model's units, if this is it; a truncated or otherwise changed one is not."""
    if model.name != "makehuman":
        return None
    from mofa3d.models.makehuman import load_units

    units = load_units()
    landmarks = model.at_landmarks(model.expression_basis).cpu()
    if landmarks.shape != units.landmarks.shape or not torch.allclose(landmarks, units.landmarks, rtol=0, atol=SAME):
        return None
    return dict(zip(units.names, units.codes.to(model.mean_shape), strict=True))
