"""Numbers that people give: finite, and within what the thing they set can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import UnionType

from mofa3d.errors import InputError

TEXELS = (16, 4096)  # along each side of a texture; 1024 suits a face, and memory grows with the square


MOST = 1e12  # of any option; what counts, measures or weighs has no use for more
MOST_INTEGER = 2**63 - 1  # which seeds may be


def check_numbers(options: object) -> None:
    """Refuse options that are no numbers one can compute with.

    Args:
        options: a dataclass, with others, tuples and mappings inside.

    Raises:
        InputError: a number is NaN, infinite or beyond any use; the message names the option.
    """
    for name, value in _numbers(options, ""):
        if isinstance(value, int):
            if abs(value) > MOST_INTEGER:
                raise InputError(f"{name} is {value:.3g}; give a number between -2⁶³ and 2⁶³")
        elif not abs(value) <= MOST:  # NaN too
            raise InputError(f"{name} is {value:g}; give a finite number, at most {MOST:g} either way")


def check_ranges(options: object, **ranges: tuple[float, float]) -> None:
    """Refuse options outside their ranges, whose ends belong to them.

    Args:
        options: a dataclass; the named fields hold a number, several, or ``None``.
        ranges: least and most of each.

    Raises:
        InputError: as `check_numbers`, or a number is outside its range.
    """
    check_numbers(options)
    for name, (least, most) in ranges.items():
        for _, value in _numbers(getattr(options, name), name):
            within(name, value, least, most)


def check_kinds(values: Mapping[str, object], kinds: type | UnionType) -> None:
    """Refuse values of other types, as files may hold; bool is no number.

    Raises:
        TypeError: naming the first.
    """
    for name, value in values.items():
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}, expected a number")


def within(name: str, value: float, least: float, most: float) -> None:
    """Refuse a number outside a range.

    Raises:
        InputError: it is, or it is NaN.
    """
    if not least <= value <= most:
        limits = f"at least {least:g}" if most >= MOST else f"from {least:g} to {most:g}"
        raise InputError(f"{name} is {value:g}; give a number {limits}")


def _numbers(value: object, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield name, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _numbers(getattr(value, field.name), field.name)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers(part, str(key))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _numbers(part, name)
