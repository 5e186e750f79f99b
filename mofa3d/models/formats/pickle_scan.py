"""Look through a pickle before it is built: what it names, how deep it is, and what it makes Python allocate.

A pickle of a few megabytes can nest tuples so deeply that hashing one overflows the stack, which ends the process; and
it can ask for a memo of billions of entries.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import cast

from mofa3d.errors import InputError

DEEPEST = 200  # tuples in tuples; pickles of arrays have four
_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
_GET = {"GET", "BINGET", "LONG_BINGET"}


def check_pickle(content: bytes, is_known: Callable[[str], bool] | None = None) -> None:
    """Refuse pickles that no array needs.

    Args:
        content: the pickle.
        is_known: whether a name, as ``torch._utils._rebuild_tensor_v2``, may occur; by default names are not looked at.

    Raises:
        InputError: it is damaged, too deep, counts on a memo that it does not fill, or names something unknown.
    """
    stack: list[int | None] = []  # the depth of each tuple and of what holds one; None is a mark
    memo: dict[int, int] = {}
    try:
        for number, (code, argument, _) in enumerate(pickletools.genops(content)):
            if code.name in _PUT or code.name == "MEMOIZE":
                place = len(memo) if code.name == "MEMOIZE" else cast(int, argument)
                if not 0 <= place <= number:
                    raise InputError(f"it keeps something at place {place} of its memo after {number} steps")
                memo[place] = stack[-1] or 0
                continue
            if code.name in _GET:
                stack.append(memo[cast(int, argument)])
                continue
            if is_known is not None and code.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
                name = str(argument).replace(" ", ".")
                if code.name != "GLOBAL" or not is_known(name):
                    raise InputError(f"it refers to {name}, which no checkpoint of mofa3d needs; it may be an attack")
            _step(stack, code)
    except (IndexError, KeyError) as error:
        raise InputError(f"it is not a complete pickle ({error!r})") from error


def _step(stack: list[int | None], code: pickletools.OpcodeInfo) -> None:
    """Do to the depths what an operation does to the objects."""
    takes, gives = code.stack_before, code.stack_after
    if code.name == "MARK":
        stack.append(None)
        return
    taken: list[int] = []
    if pickletools.markobject in takes or (code.name == "POP" and stack[-1] is None):
        while (top := stack.pop()) is not None:
            taken.append(top)
        takes = takes[: takes.index(pickletools.markobject)] if pickletools.markobject in takes else []
    for _ in takes:
        taken.append(stack.pop() or 0)
    if not gives:
        return
    if code.name == "DUP":
        stack += [taken[0]] * 2
        return
    depth = max(taken, default=0) + (code.name.startswith("TUPLE") or code.name == "FROZENSET")
    if depth > DEEPEST:
        raise InputError(f"it holds more than {DEEPEST} tuples in one another, as no array does; it may be an attack")
    stack += [depth] * len(gives)
