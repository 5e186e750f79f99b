"""Folders in which one process works at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mofa3d.errors import InputError

_LOG = logging.getLogger(__name__)
LOCK = ".lock"
PATIENCE = 1.0  # seconds of waiting after which one is told


@contextmanager
def alone(folder: Path, wait: bool = True) -> Iterator[None]:
    """Keep other processes out of a folder, which is made; whatever ends a process lets the next one in.

    Args:
        folder: to work in; only who asks here is kept out.
        wait: until a process that works there has ended.

    Raises:
        InputError: another process works there, and this one is not to wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=PATIENCE if wait else 0)
    except Timeout:
        if not wait:
            raise InputError(
                f"another process is writing into {folder}; wait until it has ended, or choose another folder"
            ) from None
        _LOG.info("waiting for another process that is writing into %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
