"""Which folder belongs to which input: the same one at every run, and never another's.

A folder belongs to the input that its record names, wherever both have moved together.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, count
from pathlib import Path

from mofa3d.errors import InputError
from mofa3d.files.folders import is_taken, make_folder
from mofa3d.files.names import safe_name
from mofa3d.files.record import Record, place, read_record, remove_unfinished

HEAD = 1 << 20  # bytes of a file that tell it from others


@dataclass(frozen=True)
class Source:
    """What a folder is made from.

    Attributes:
        path: an absolute one.
        member: of the archive at that path, or "".
    """

    path: str
    member: str = ""

    @classmethod
    def of(cls, path: Path, member: str = "") -> Source:
        return cls(os.path.abspath(path), member)  # noqa: PTH100  (links stay as they are)

    @cached_property
    def fingerprint(self) -> str:
        """Tells the file from others, wherever it is; "" if it cannot be read."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return ""
        return _fingerprint(self.path, status.st_size, status.st_mtime_ns)

    def about(self, folder: Path) -> dict:
        """What the record of a folder says about it."""
        named = {"file": self.path, "member": self.member, "fingerprint": self.fingerprint}
        return {**named, **relative(self.path, folder)}

    def owns(self, folder: Path, record: Record) -> bool:
        """Whether a folder's record names this input: by its path, or from where the folder lies and by its content."""
        if str(record.about.get("member", "")) != self.member:
            return False
        absolute, from_here = _places(folder, record)
        same = self.fingerprint != "" and record.about.get("fingerprint") == self.fingerprint
        return self.path == absolute or (same and self.path == from_here)


def relative(path: str, folder: Path) -> dict:
    """The way from a folder to a file, as ``from_here``; nothing where there is none, as between Windows' drives."""
    try:
        return {"from_here": Path(os.path.relpath(path, folder)).as_posix()}
    except ValueError:  # of os.path.relpath
        return {}


class InputFolders:
    """The folders below one that hold results, each of its input.

    Args:
        out: the folder above them.
        reserved: names that are for something else.
    """

    def __init__(self, out: Path, reserved: tuple[str, ...] = ()) -> None:
        self.out = out
        self._taken = {_plain(name) for name in reserved}
        self._unread: dict[str, list[str]] = {}  # folders of names that differ by their numbers
        for name in sorted(os.listdir(out)):  # noqa: PTH208
            self._taken.add(_plain(name))
            self._unread.setdefault(_without_numbers(name), []).append(name)
        self._found: dict[tuple[str, str], list[tuple[Path, Record]]] = {}
        self._given: set[Path] = set()
        self._next: dict[str, Iterator[int]] = {}

    @classmethod
    def open(cls, out: Path, reserved: tuple[str, ...] = ()) -> InputFolders:
        """The folders below one that users name, which is made; what killed processes left there is removed.

        Raises:
            InputError: another program wrote it, or it cannot be made.
        """
        make_folder(out)
        if is_taken(out):
            raise InputError(f"{out} contains a corpus or the results of another program; choose another --out")
        remove_unfinished(out)
        return cls(out, reserved)

    def find(self, name: str, source: Source) -> Path | None:
        """The folder that an input has already.

        Args:
            name: what its folder would be called.
            source: the input.
        """
        for other in self._unread.pop(_without_numbers(safe_name(name)), []):
            self._read(self.out / other)
        for folder, record in self._found.get((source.path, source.member), []):
            if folder not in self._given and source.owns(folder, record):
                self._given.add(folder)
                return folder
        return None

    def new(self, name: str) -> Path:
        """A folder that is nobody's, with a number where the name is taken.

        Names that differ only by case or by how their accents are written count as one, as to some file systems.
        """
        plain = safe_name(name)
        numbers = self._next.setdefault(_plain(plain), count(2))
        for choice in chain([plain], (f"{plain}-{number}" for number in numbers)):
            if _plain(choice) not in self._taken and not os.path.lexists(self.out / choice):
                self._taken.add(_plain(choice))
                return self.out / choice
        raise AssertionError("numbers have no end")

    def keep(self, results: Path, name: str, source: Source, folder: Path | None, more: dict | None = None) -> Path:
        """Place results of an input; returns where.

        Args:
            results: see `mofa3d.files.record.place`.
            name: what its folder would be called.
            source: the input.
            folder: that it has already, or ``None`` for a new one.
            more: about it, for the record.

        Raises:
            InputError: a file in the folder that it has is not ours.
        """
        if folder is not None:
            place(results, folder, {**source.about(folder), **(more or {})})
            return folder
        while True:
            folder = self.new(name)
            with suppress(FileExistsError):  # another process took the name
                place(results, folder, {**source.about(folder), **(more or {})})
                return folder

    def _read(self, folder: Path) -> None:
        record = None if folder.is_symlink() else read_record(folder)
        if record is None:
            return
        member = str(record.about.get("member", ""))
        for path in dict.fromkeys(_places(folder, record)):
            self._found.setdefault((path, member), []).append((folder, record))


def _places(folder: Path, record: Record) -> tuple[str, str]:
    """Where the file that a record names may be: where it was, and where it is as seen from the folder."""
    file, here = record.about.get("file"), record.about.get("from_here")
    absolute = os.path.abspath(file) if isinstance(file, str) else ""  # noqa: PTH100
    return absolute, os.path.abspath(folder / here) if isinstance(here, str) else ""  # noqa: PTH100


def _plain(name: str) -> str:
    """The same for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _without_numbers(name: str) -> str:
    return re.sub(r"(-\d+)+$", "", _plain(name))


@lru_cache(maxsize=16)
def _fingerprint(path: str, size: int, changed: int) -> str:
    try:
        with open(path, "rb") as file:
            return f"{size}-{hashlib.sha256(file.read(HEAD)).hexdigest()[:32]}"
    except OSError:
        return ""
