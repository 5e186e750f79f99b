"""The folder of what is made once and kept: built models, prepared corpora, compiled kernels."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from mofa3d.errors import InputError

VARIABLE = "MOFA3D_CACHE"
REMEDY = f"set the environment variable {VARIABLE} to a folder that can be written"


def cache_directory() -> Path:
    """Where built models and prepared data are kept; the environment variable MOFA3D_CACHE overrides it."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("mofa3d"))


def check_cache(folder: Path) -> None:
    """Make sure that something can be kept, before it is computed.

    Raises:
        InputError: the folder cannot be made or written.
    """
    if folder.parts[:1] == ("~",):  # whose home is unknown, as that of a user id without a name
        raise InputError(f"there is no home folder to cache in; {REMEDY}")
    try:
        try_to_write(folder)
    except OSError as error:
        raise InputError(f"cannot write the cache folder {folder} ({error.strerror}); {REMEDY}") from None


def try_to_write(folder: Path) -> None:
    """Make a folder where it is missing, and a file in it that is gone again.

    Raises:
        OSError: either cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
