"""Standard output and error that a program can always write to: work that is done is no error for want of a reader.

What the library logs and warns of goes there in single lines.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mofa3d.errors import SlowerPathWarning

# Whoever read has gone (as `head` does), the terminal is closed, or there was nothing from the beginning.
GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO} | ({errno.EINVAL} if os.name == "nt" else set())
NAMES = ("stdin", "stdout", "stderr")


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Let what is printed inside reach whoever reads it.

    Letters that a stream cannot say, as in an ASCII locale, are written as escapes. Streams that are closed, or whose
    reader goes away, swallow what comes; other failures, as a full disk's, are raised.

    Raises:
        OSError: at its end, what was printed cannot be written.
    """
    _fill_closed()
    before = sys.stdout, sys.stderr
    lasting = [_Lasting(stream) for stream in before]
    sys.stdout, sys.stderr = lasting
    try:
        yield
        for stream in lasting:
            stream.flush()
    finally:
        sys.stdout, sys.stderr = before
        for stream in lasting:
            stream.let_go()


def say(text: str) -> None:
    """Print to stderr; where it is closed or its terminal gone, there is nobody to tell."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _fill_closed() -> None:
    """Open nothing in place of standard streams that are closed, or the next file that is opened would become them."""
    for number, name in enumerate(NAMES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            nothing = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nothing)


class _Lasting:
    """A text stream that does not mind when its reader goes away; all else is the stream's own."""

    def __init__(self, stream) -> None:
        self._stream = stream
        self._errors = getattr(stream, "errors", None)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._watched():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        with self._watched():
            self._stream.writelines(lines)

    def flush(self) -> None:
        with self._watched():
            self._stream.flush()

    def let_go(self) -> None:
        """Give the stream back as it was, but for what it could not write."""
        with suppress(OSError, ValueError):  # of a closed stream
            self.flush()
        if hasattr(self._stream, "reconfigure") and not self._stream.closed:
            with suppress(OSError):
                self._stream.reconfigure(errors=self._errors)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            if error.errno not in GONE:
                raise OSError(error.errno, f"{error.strerror} (standard output or error)") from None

    def _drop(self) -> None:
        """Let everything that is still to be written, and what comes, go nowhere."""
        with suppress(OSError, ValueError):  # of a stream without a file, as a test's
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)


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


def warn_in_one_line() -> None:
    """Let programs show a `SlowerPathWarning` as one line, as they do mistakes, without the place in the code."""
    format_others = warnings.formatwarning

    def format_warning(message, category, filename, lineno, line=None) -> str:
        if issubclass(category, SlowerPathWarning):
            return f"warning: {message}\n"
        return format_others(message, category, filename, lineno, line)

    warnings.formatwarning = format_warning
