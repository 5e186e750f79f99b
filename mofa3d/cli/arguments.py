"""What can be told from the command line before its options are read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mofa3d.errors import InputError


def refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse what ``"$UNSET"`` leaves behind, for an empty path means the current folder.

    Raises:
        InputError: an argument, or the value after ``=``, is empty or white space.
    """
    for before, argument in pairwise(["", *arguments]):
        name, equals, value = argument.partition("=")
        option = argument.startswith("-") and equals
        if (value if option else argument).strip():
            continue
        named = f"the value of {name}" if option else f"what follows {before}" if before else "the first argument"
        raise InputError(f'{named} is empty, as "$OUT" is when OUT is not set; give a value, or leave it out')
