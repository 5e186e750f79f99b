"""Lists of files that could not be used, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mofa3d.files.whole import write_table

FAILURES = "failures.csv"
HEADER = ("file", "reason")  # of the failures


@dataclass(frozen=True)
class Failure:
    """A photograph that cannot be used, and why."""

    photo: str
    reason: str


def list_failures(path: Path, failures: Iterable[Failure]) -> None:
    """Write which photographs cannot be used, and why, as a CSV table."""
    write_table(path, [HEADER, *((failure.photo, failure.reason) for failure in failures)])


def is_failure_list(path: Path) -> bool:
    """Whether a file is one that `list_failures` wrote; a link to one is not."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.readline().strip() == ",".join(HEADER).encode()
