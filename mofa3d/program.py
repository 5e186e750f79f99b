"""How programs begin and end: options from the command line, and one line about a mistake instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import tyro

from mofa3d.arguments import refuse_empty
from mofa3d.numeric_options import check_numbers
from mofa3d.slower_path import warn_in_one_line

Config = TypeVar("Config")
MISTAKE, INTERRUPTED = 2, 130  # exit status


def run(
    main: Callable[[Config], int | None],
    config: type[Config],
    description: str | None,
    errors: tuple[type[Exception], ...] = (),
    stopped: str = "stopped",
) -> NoReturn:
    """Run a program and leave the process with its status.

    Args:
        main: takes the options; returns the exit status, or ``None`` for 0.
        config: dataclass of the options.
        description: what ``--help`` says about the program.
        errors: that are the user's to mend, besides ValueError and OSError.
        stopped: what to say when the user interrupts it.
    """
    try:
        refuse_empty(sys.argv[1:])
        # Nested options check themselves while they are read, and tyro lets their ValueErrors through.
        options = tyro.cli(config, description=description)
        check_numbers(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(MISTAKE)
    warn_in_one_line()
    try:
        status = main(options)
    except (ValueError, OSError, *errors) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(MISTAKE)
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(status or 0)
