"""Make the folders and files that users name for results, and keep what others have there."""

from __future__ import annotations

import os
from pathlib import Path

MARK = ".mofa3d"  # says that all of a folder was written by one of our programs
UNFINISHED = ".unfinished"  # ends the names of folders, hidden ones, whose results are not placed yet
LEFT_BY_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; one that is there already stays as it is.

    Raises:
        ValueError: a file is in the way, or the folder may not be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {folder} ({error.strerror}); choose another --out") from None


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but unfinished results, and what desktops leave where somebody looks."""
    names = (path.name for path in folder.iterdir())
    return all(name in LEFT_BY_DESKTOPS or (name.startswith(".") and name.endswith(UNFINISHED)) for name in names)


def take_folder(out: Path, program: str) -> None:
    """Make the folder for all that a program writes, or find one that the program wrote before.

    Args:
        out: what the user named.
        program: its name.

    Raises:
        ValueError: the folder holds something else, which could be overwritten, or cannot be made.
    """
    make_folder(out)
    mark = out / MARK
    try:
        before = mark.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        before = ""
    if before == program:
        return
    if before:
        raise ValueError(f"{out} holds what {before} wrote; choose another --out for {program}")
    if not is_empty(out):
        raise ValueError(f"{out} holds files that {program} did not write; choose another --out, or an empty folder")
    mark.write_text(program + "\n", encoding="utf-8")


def refuse_existing(out: Path, force: bool) -> None:
    """Refuse to replace a file unless that was asked for.

    Raises:
        ValueError: something is there, and it is not to be replaced, or is a folder.
    """
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; give the name of a file")
    if os.path.lexists(out) and not force:
        raise ValueError(f"{out} is there already; give another --out, or --force to replace it")
