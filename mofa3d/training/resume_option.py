"""The option --resume of every training: as a switch, or with "auto"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from tyro.constructors import PrimitiveConstructorSpec

AUTO: Literal["auto"] = "auto"
NO = "no"


def _read(given: Sequence[str]) -> bool | Literal["auto"]:
    if list(given) not in ([], [AUTO], [NO]):
        raise ValueError(f"--resume takes nothing, auto or no, got {' '.join(given)}")
    return AUTO if AUTO in given else NO not in given


def _write(value: bool | Literal["auto"]) -> list[str]:
    return [AUTO] if value == AUTO else [] if value else [NO]


Resume = Annotated[
    bool | Literal["auto"],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[auto]",
        instance_from_str=_read,
        is_instance=lambda value: isinstance(value, bool) or value == AUTO,
        str_from_instance=_write,
    ),
]
