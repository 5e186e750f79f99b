"""How programs begin and end: options from the command line, and one line about a mistake instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, NoReturn, TypeVar

import tyro
from tyro.conf import FlagCreatePairsOff

from mofa3d.cli.streams import lasting_streams, say, shown_logs, warn_in_one_line
from mofa3d.environment import torchrun
from mofa3d.errors import InputError
from mofa3d.numeric_options import check_numbers
from mofa3d.training.interruption import as_ctrl_c, status_of

Flag = Annotated[bool, FlagCreatePairsOff]  # --name alone, without --no-name


Config = TypeVar("Config")
MISTAKE = 2  # exit status


def run(
    main: Callable[[Config], int | None],
    config: type[Config],
    description: str | None,
    errors: tuple[type[Exception], ...] = (),
    stopped: str | Callable[[Config], str] = "stopped",
) -> NoReturn:
    """Run a program and leave the process with its status: 2 after a mistake, 128 and a signal's number after that one.

    Args:
        main: takes the options; returns the exit status, or ``None`` for 0.
        config: dataclass of the options.
        description: text for ``--help``.
        errors: that are the user's to mend, besides InputError and OSError.
        stopped: what to say when a signal ends it that brings no message of its own; may depend on the options.
    """
    try:
        with lasting_streams(), shown_logs():
            status = _status_of(main, config, description, errors, stopped)
    except OSError as error:  # what was said could not be written
        say(f"error: {error}")
        status = MISTAKE
    sys.exit(status)


def _status_of(
    main: Callable[[Config], int | None],
    config: type[Config],
    description: str | None,
    errors: tuple[type[Exception], ...],
    stopped: str | Callable[[Config], str],
) -> int:
    try:
        refuse_empty(sys.argv[1:])
        # Nested options check themselves while they are read, and tyro lets their InputErrors through.
        options = tyro.cli(config, description=description)
        check_numbers(options)
    except InputError as error:
        say(f"error: {error}")
        return MISTAKE
    warn_in_one_line()
    mendable: tuple[type[Exception], ...] = (InputError, OSError, *errors)
    try:
        with as_ctrl_c():
            status = main(options)
    except mendable as error:
        process = f" in process {rank} of {torchrun.count()}" if (rank := torchrun.rank()) else ""
        say(f"error{process}: {error}")
        return MISTAKE
    except KeyboardInterrupt as ended:
        if torchrun.rank() == 0:  # which speaks for all
            say(str(ended) or (stopped if isinstance(stopped, str) else stopped(options)))
        return status_of(ended)
    return status or 0


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
