"""Numba's compiler, and where it keeps what it compiled: kernels take minutes to compile, and milliseconds to load.

Numba raises at import when it finds no folder that can be written, as in a container whose packages belong to another
user, and at the first call when a folder is full or a file in it damaged. None of that keeps a kernel from running.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

from mofa3d.environment.cache_folder import cache_directory, check_cache, try_to_write
from mofa3d.errors import InputError

_config: Any = numba.config  # its settings are made when it is imported

_one_at_a_time = threading.Lock()  # numba's folder is one for the process


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """A decorator: `numba.njit` with these options, whose results are kept where there is a place for them.

    The place is NUMBA_CACHE_DIR where that is set, else beside the source, else the folder ``numba`` of
    `cache_directory`. Where none can be written, every process compiles its own.
    """

    def compile_later(function: Callable) -> Any:
        dispatcher = numba.njit(**options)(function)
        _keep_results(dispatcher)
        return dispatcher

    return compile_later


def _keep_results(dispatcher) -> None:
    with _one_at_a_time:
        chosen = _config.CACHE_DIR
        _config.CACHE_DIR = chosen or _folder_beside(Path(dispatcher.py_func.__code__.co_filename).parent)
        try:
            dispatcher.enable_caching()
        except RuntimeError:  # "no locator available"
            return
        finally:
            _config.CACHE_DIR = chosen
    _forgive(dispatcher._cache)


@cache
def _folder_beside(source: Path) -> str:
    """Where kernels of a folder are kept if NUMBA_CACHE_DIR is not set; empty where numba finds the place itself."""
    try:
        try_to_write(source / "__pycache__")
    except OSError:
        folder = cache_directory() / "numba"
        try:
            check_cache(folder)
        except InputError:
            return ""
        return str(folder)
    return ""


def _forgive(kept) -> None:
    """Let a cache that cannot be read or written be one that holds nothing."""
    load, save = kept.load_overload, kept.save_overload

    def load_or_compile(signature, context):
        try:
            return load(signature, context)
        except Exception:  # a damaged pickle raises almost anything
            _drop(kept)
            return None

    def save_if_possible(signature, result) -> None:
        try:
            save(signature, result)
        except OSError:  # full, or taken away meanwhile
            return

    kept.load_overload, kept.save_overload = load_or_compile, save_if_possible


def _drop(kept) -> None:
    """Forget what a damaged cache holds, so that it is written anew."""
    try:
        kept.flush()
    except OSError:
        return
