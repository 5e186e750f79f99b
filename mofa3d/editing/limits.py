"""How far an edit may go, beyond which there is no face to see or float32 overflows, and what excludes what."""

from __future__ import annotations

from collections.abc import Callable

from mofa3d.errors import InputError
from mofa3d.numeric_options import check_ranges

DEGREES = (-3600.0, 3600.0)  # ten turns
MILLIMETRES = (-10_000.0, 10_000.0)
DIRECTION = (-1e6, 1e6)  # of each part of a vector of any length
LIGHT = (0.0, 100.0)  # display RGB of a white surface
EXPOSURE = (0.0, 100.0)
LIGHTER = (-1.0, 1.0)  # display RGB
LIGHTS = ("light_from", "light_direction", "environment")


def check_numbers_of(options: object) -> None:
    """Refuse numbers of an edit that are out of range.

    Args:
        options: with the fields of `mofa3d.editing.edit.Changes`.

    Raises:
        InputError: naming the option.
    """
    angles = dict.fromkeys(("yaw", "pitch", "roll", "environment_turn"), DEGREES)
    light = {"light_direction": DIRECTION, "ambient": LIGHT, "exposure": EXPOSURE}
    check_ranges(options, **angles, **light, move=MILLIMETRES, reflectance_share=(0, 1), lighten=LIGHTER)


def check_together(options: object, spelled: Callable[[str], str] = str) -> None:
    """Refuse options of an edit that do not go together.

    Args:
        options: as above.
        spelled: makes of a field's name what the user knows it by.

    Raises:
        InputError: naming the options.
    """
    given = [spelled(name) for name in LIGHTS if getattr(options, name) is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} cannot be combined; choose one light")
    source, resting = "expression_from", "expression_neutral"
    if getattr(options, source) is None and getattr(options, resting) is not None:
        raise InputError(f"{spelled(resting)} goes with {spelled(source)}; give both")
