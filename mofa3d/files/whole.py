"""Files that appear whole or not at all, and that last: no crash, full disk or power cut leaves half of one.

What is written goes into a temporary beside the file, which takes the file's place when it is complete and on the disk.
"""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from torch import Tensor


def without_nan(value):
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


ENDING = ".part"  # of temporaries, whose names begin with a dot: searches for photographs leave them out
NAME_LENGTH = 40  # characters of a file's name that its temporaries have; file systems take 255 bytes
FORGOTTEN = 3600.0  # seconds after which a temporary is nobody's, where one cannot ask whether a process still runs
_numbers = count()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` at the end; after an exception, `path` is as it was.

    Temporaries that killed processes left of the same file are removed. The folder must be there.

    Raises:
        OSError: it cannot be written, with the file's name.
    """
    for leftover in path.parent.glob(_escaped(f".{path.name[:NAME_LENGTH]}.") + f"*{ENDING}"):
        if is_abandoned(leftover):
            leftover.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name[:NAME_LENGTH]}.{os.getpid()}-{next(_numbers)}{ENDING}")
    try:
        with naming(path):
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        OSError: see `whole_file`.
    """
    with whole_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str, errors: str = "strict") -> None:
    """Write text in UTF-8, with line ends as they are, as a file that appears whole or not at all.

    Raises:
        OSError: see `whole_file`.
    """
    write_bytes(path, text.encode("utf-8", errors))


def write_table(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV table as a file that appears whole or not at all; names of files in it need not be UTF-8.

    Raises:
        OSError: see `whole_file`.
    """
    table = io.StringIO()
    csv.writer(table).writerows(rows)
    write_text(path, table.getvalue(), errors="surrogateescape")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a ``.safetensors`` file that appears whole or not at all; its folder is made.

    Raises:
        OSError: see `whole_file`.
    """
    from safetensors.torch import save  # here: processes that only read photographs do without PyTorch

    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    write_bytes(path, save(contiguous, dict(metadata)))


def link_whole(source: Path, target: Path) -> None:
    """Let a second name stand for a file, also when the first is replaced later; copied where disks have no links.

    Raises:
        OSError: see `whole_file`.
    """
    temporary = target.with_name(f".{target.name[:NAME_LENGTH]}.{os.getpid()}-{next(_numbers)}{ENDING}")
    try:
        os.link(source, temporary)
    except OSError:
        with open(source, "rb") as original, whole_file(target) as copy:
            shutil.copyfileobj(original, copy)
        return
    try:
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # is left where both were the same file before


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing into a folder, in which nobody else may write at the moment."""
    for leftover in folder.glob(f".*{ENDING}"):
        leftover.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the operating system that do not name their file name this one: those of writing never do."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is not None and not _is_temporary(error.filename)):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _is_temporary(name: object) -> bool:
    return str(name).endswith(ENDING)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def is_abandoned(temporary: Path) -> bool:
    """Whether the process that was writing a temporary, .NAME.PROCESS-NUMBER.ENDING, has ended."""
    process = temporary.stem.rpartition(".")[2].partition("-")[0]
    if not process.isdecimal():
        return False
    if os.name == "nt":  # where asking for a process by signal 0 would end it
        with suppress(OSError):
            return time.time() - temporary.stat().st_mtime > FORGOTTEN
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is somebody else's, or no process at all
        return False
    return False


def _sync_folder(folder: Path) -> None:
    """Put a file's new name on the disk too; file systems and Windows that know no such thing do without."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
