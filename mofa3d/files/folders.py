"""Make the folders and files that users name for results, and keep what others have there."""

from __future__ import annotations

import os
from pathlib import Path

from mofa3d.errors import InputError
from mofa3d.files.whole import ENDING

MARK = ".mofa3d"  # says that all of a folder was written by one of our programs
WITHOUT_MARK = "corpus.json"  # is in corpora that were made before there were marks
UNFINISHED = ".unfinished"  # ends the names of folders, hidden ones, whose results are not placed yet
NOTHING = {MARK, ".lock", ".DS_Store", "Thumbs.db", "desktop.ini"}  # what we, and desktops, leave where they look


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; one that is there already stays as it is.

    Raises:
        InputError: a file is in the way, or the folder may not be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder} ({error.strerror}); choose another --out") from None


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing that anybody would miss."""
    names = (path.name for path in folder.iterdir())
    return all(name in NOTHING or (name.startswith(".") and name.endswith((UNFINISHED, ENDING))) for name in names)


def is_taken(folder: Path) -> bool:
    """Whether all of a folder was written by one of our programs."""
    return any((folder / name).is_file() for name in (MARK, WITHOUT_MARK))


def take_folder(out: Path, program: str, known: bool = False) -> None:
    """Make the folder for all that a program writes, or find one that the program wrote before.

    Args:
        out: what the user named.
        program: its name.
        known: whether it wrote what is there, without a mark, as programs did before there were marks.

    Raises:
        InputError: the folder holds something else, which could be overwritten, or cannot be made.
    """
    make_folder(out)
    mark = out / MARK
    try:
        before = mark.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # of decoding
        before = ""
    if before == program:
        return
    if before:
        raise InputError(f"{out} contains results of {before}; choose another --out for {program}")
    if not known and not is_empty(out):
        raise InputError(f"{out} contains files that {program} did not write; choose another --out, or an empty folder")
    mark.write_text(program + "\n", encoding="utf-8")


def refuse_existing(out: Path, force: bool) -> None:
    """Refuse to replace a file unless that was asked for.

    Raises:
        InputError: something is there, and it is not to be replaced, or is a folder.
    """
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; give the name of a file")
    if os.path.lexists(out) and not force:
        raise InputError(f"{out} already exists; give another --out, or --force to replace it")
