"""Options that lie over a preset: those of a dataclass, each of which may be left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, make_dataclass, replace
from typing import Any, get_type_hints

from mofa3d.cli.program import Flag


def overrides_of(kind: type, names: Collection[str]) -> Any:  # a class to inherit from, which type checkers cannot see
    """A dataclass with some options of another, which says what they are and what helps with them.

    Options are ``None`` if they are left out, and switches False: these can only be turned on.

    Args:
        kind: a dataclass whose docstring describes the options.
        names: which ones, in this order.
    """
    hints = get_type_hints(kind)
    options = [(name, Flag, False) if hints[name] is bool else (name, hints[name] | None, None) for name in names]
    made = make_dataclass(f"{kind.__name__}Overrides", options, frozen=True)
    made.__doc__ = kind.__doc__
    return made


def apply_overrides(preset: Any, overrides: object) -> Any:
    """The preset with the options that were given.

    Args:
        preset: a dataclass.
        overrides: has some of its fields, as `overrides_of` makes them; ``None`` and False leave the preset's.
    """
    given = {field.name: getattr(overrides, field.name, None) for field in fields(preset)}
    return replace(preset, **{name: value for name, value in given.items() if value is not None and value is not False})
