"""Make the folders that results are written to."""

from __future__ import annotations

from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; one that is there already stays as it is.

    Raises:
        ValueError: a file is in the way, or the folder may not be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {folder} ({error.strerror}); choose another --out") from None
