"""The 52 expression units of Apple's ARKit, which most programs that animate faces know by name."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError

_MIDDLE = ("jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker")
_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
_CORNERS = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch")
_LIPS = ("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper")
# ARKit's units in the order of Live Link Face, the subject's left first.
ARKIT = (
    *(f"{name}{side}" for side in ("Left", "Right") for name in _EYE),
    *(*_MIDDLE, "mouthRight", "mouthLeft"),
    *(f"{name}{side}" for name in _CORNERS for side in ("Left", "Right")),
    *_LIPS,
    *(f"{name}{side}" for name in ("mouthPress", "mouthLowerDown", "mouthUpperUp") for side in ("Left", "Right")),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff"),
    *("cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)


def has_arkit(units: Mapping[str, Float[Tensor, "E"]]) -> bool:
    """Whether all 52 units of ARKit are there."""
    return units.keys() >= set(ARKIT)


def arkit_units(units: Mapping[str, Float[Tensor, "E"]]) -> dict[str, Float[Tensor, "E"]]:
    """ARKit's 52 units, in the order of `ARKIT`.

    Raises:
        InputError: the face model has others.
    """
    if not has_arkit(units):
        raise InputError(
            f"this face model does not have the {len(ARKIT)} expression units of ARKit; use the default model, or its "
            f"own units: {', '.join(list(units)[:5]) or 'it has none'}"
        )
    return {name: units[name] for name in ARKIT}
