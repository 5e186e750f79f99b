"""Folders of results, each with a record of what it was made from and which files in it are ours.

Only what the record lists is ever replaced or removed. Results are written into a folder beside it first, and moved
when they are complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from mofa3d.errors import InputError
from mofa3d.files.folders import UNFINISHED, is_empty
from mofa3d.files.whole import is_abandoned, write_text

RECORD = "reconstruction.json"
DEEPEST = 2  # folders from a record down to the files that it lists
_numbers = count()


@dataclass(frozen=True)
class Record:
    """The content of a folder's record.

    Attributes:
        files: that are ours, relative to the folder.
        about: everything else.
        unfinished: whether they were being replaced when something stopped us.
    """

    files: frozenset[str]
    about: dict
    unfinished: bool = False


def read_record(folder: Path) -> Record | None:
    """The record of a folder, or ``None`` if it is missing, cut off, or somebody else's."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = content.pop("files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # of json
        return None
    if not isinstance(files, list) or not all(isinstance(file, str) and _is_inside(file) for file in files):
        return None
    return Record(frozenset(files), content, bool(content.pop("unfinished", False)))


def check_free(folder: Path) -> Record:
    """What a folder holds of ours, which may be replaced; one that is not there, or empty, holds nothing.

    Raises:
        InputError: it is no folder, or a link, or holds files and no record of ours.
    """
    nothing = Record(frozenset(), {})
    if not os.path.lexists(folder):
        return nothing
    if not folder.is_dir():
        raise InputError(f"{folder} already exists and is not a folder; move it away, or choose another --out")
    if (record := read_record(folder)) is not None:
        return record
    if not is_empty(folder):
        raise InputError(f"{folder} contains files that were not written by mofa3d; choose another --out")
    return nothing


@contextmanager
def unfinished(parent: Path, name: str) -> Iterator[Path]:
    """A folder to write results into before they are placed; what is left there at the end is removed.

    Args:
        parent: of the folder that they will have.
        name: of that folder.
    """
    folder = parent / f".{name[:40]}.{os.getpid()}-{next(_numbers)}{UNFINISHED}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_unfinished(parent: Path) -> None:
    """Remove what killed processes left in a folder before they could place it."""
    for leftover in parent.glob(f".*{UNFINISHED}"):
        if is_abandoned(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def place(results: Path, folder: Path, about: dict) -> None:
    """Move results to their folder, in place of what its record lists; other files there stay as they are.

    Whatever stops this, the folder has a record of all that is ours in it.

    Args:
        results: a folder on the same disk; see `unfinished`.
        folder: made if it is not there.
        about: for the record.

    Raises:
        InputError: the folder or a file in it is not ours; nothing was changed.
        FileExistsError: the folder was not there, and somebody made it now.
    """
    files = sorted(path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file())
    for name in files:
        with open(results / name, "r+b") as file:
            os.fsync(file.fileno())
    record = json.dumps({**about, "files": files}, indent=1) + "\n"
    if not os.path.lexists(folder):
        write_text(results / RECORD, record)
        try:
            results.rename(folder)
        except OSError:
            if os.path.lexists(folder):
                raise FileExistsError(f"{folder} was created by another process in the meantime") from None
            raise
        return
    before = check_free(folder).files
    for name in files:
        if _passes_link(folder, name) or (name not in before and os.path.lexists(folder / name)):
            raise InputError(
                f"{folder / name} already exists and was not written by mofa3d; move it away, or choose another --out"
            )
    both = sorted(before.union(files))
    write_text(folder / RECORD, json.dumps({**about, "unfinished": True, "files": both}, indent=1) + "\n")
    for name in sorted(before.difference(files)):
        if not _passes_link(folder, name):
            (folder / name).unlink(missing_ok=True)
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(results / name, folder / name)
    for inner in {(folder / name).parent for name in before} - {folder}:
        with suppress(OSError):  # others' files are there
            inner.rmdir()
    write_text(folder / RECORD, record)


class Results:
    """Recognises the results of mofa3d, by the records beside them."""

    def __init__(self) -> None:
        self._files: dict[Path, frozenset[str]] = {}

    def __contains__(self, path: Path) -> bool:
        """Whether a record lists a file."""
        path = Path(os.path.abspath(path))  # noqa: PTH100  (links stay as they are)
        above = list(path.parents)[:DEEPEST]
        return any(path.relative_to(folder).as_posix() in self._listed(folder) for folder in above)

    def _listed(self, folder: Path) -> frozenset[str]:
        if folder not in self._files:
            record = read_record(folder)
            self._files[folder] = frozenset() if record is None else record.files
        return self._files[folder]


def _passes_link(folder: Path, name: str) -> bool:
    """Whether a link or a file stands where a file's folders should be."""
    inner = (folder / part for part in PurePosixPath(name).parents if part.name)
    return any(path.is_symlink() or (path.exists() and not path.is_dir()) for path in inner)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    inside = name and not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name
    return bool(inside) and 0 < len(path.parts) <= DEEPEST
