"""The files below a folder that may be used, and a count of those that are left out: none is so without a word."""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mofa3d.data.file_kind import Kind, kind_of
from mofa3d.files.folders import NOTHING, is_taken
from mofa3d.files.names import printable
from mofa3d.files.record import RECORD, Results

_LOG = logging.getLogger(__name__)
NAMED = 8  # kinds in a message
HIDDEN, OURS = "hidden", "written by mofa3d"


class LeftOut:
    """Counts what is left out, by kind."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()

    def add(self, path: Path | PurePosixPath, why: str = "") -> None:
        """Count a file or a folder.

        Args:
            path: of it, or the name of an archive's member.
            why: what to say about it; by default what its name ends with.
        """
        if path.name not in NOTHING:
            self._kinds[why or path.suffix.lower() or "without a suffix"] += 1

    def add_file(self, path: Path | PurePosixPath, kind: Kind) -> None:
        """Count a file of a kind that is not wanted."""
        if kind == "raw":
            self.add(path, f"raw ({path.suffix.lower()}; develop first)")
        elif isinstance(path, Path) and _is_special(path):
            self.add(path, "special (pipe, socket or device)")
        else:
            self.add(path)

    def update(self, other: LeftOut) -> None:
        """Count what another has counted."""
        self._kinds.update(other._kinds)

    def __str__(self) -> str:
        """As ``3 .txt, 1 .psd, 2 hidden``; "" if nothing was left out."""
        most = sorted(self._kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        said = [f"{number} {kind}" for kind, number in most[:NAMED]]
        if len(most) > NAMED:
            said.append(f"{sum(number for _, number in most[NAMED:])} of other kinds")
        return ", ".join(said)

    def tell(self, source: object) -> None:
        """Log it, if there is anything."""
        if self._kinds:
            _LOG.info(printable(f"{source}: left out {self}"))


@dataclass(frozen=True)
class Folder:
    """What is below a folder.

    Attributes:
        files: with what they are, in no order.
        closed: why folders below it could not be opened.
        left_out: everything else.
    """

    files: list[tuple[Path, Kind]] = field(default_factory=list)
    closed: list[OSError] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


def look_into(root: Path, wanted: Collection[Kind], known: Collection[str] = ()) -> Folder:
    """Find files below a folder; hidden ones and what mofa3d wrote are left out, and links are followed, once.

    Args:
        root: the folder.
        wanted: kinds of files.
        known: names of files that have another use, and are not counted.
    """
    found, results = Folder(), Results()
    seen: set[tuple[int, int]] = set()
    for name, folders, files in os.walk(root, followlinks=True, onerror=found.closed.append):
        folder = Path(name)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if folder != root and is_taken(folder):
            folders.clear()
            found.left_out.add(folder, OURS)
            continue
        for hidden in (each for each in (*folders, *files) if each.startswith(".")):
            found.left_out.add(folder / hidden, HIDDEN)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for path in (folder / each for each in files if not each.startswith(".")):
            if path in results or path.name == RECORD:
                found.left_out.add(path, OURS)
            elif (kind := kind_of(path)) in wanted:
                found.files.append((path, kind))
            elif path.name not in known:
                found.left_out.add_file(path, kind)
    return found


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
