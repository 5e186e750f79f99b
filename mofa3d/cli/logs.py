"""What the library logs, shown as lines of a program's standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def shown_logs() -> Iterator[None]:
    """Write the library's messages to stderr, beside a progress bar; errors and warnings say that they are such."""
    logger, handler = logging.getLogger("mofa3d"), _BesideBars()
    before = logger.level
    handler.setFormatter(_OneLine())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = super().format(record)
        return f"{record.levelname.lower()}: {said}" if record.levelno >= logging.WARNING else said


class _BesideBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm  # here, for programs that log nothing

        tqdm.write(self.format(record), file=sys.stderr)
