"""Tables of 68 facial landmarks (iBUG numbering) beside the photographs: ``landmarks_68.csv``.

Columns ``file,x0,y0,...,x67,y67``; pixels of that photograph from its top-left corner, so that the centre of the
top-left pixel is (0.5, 0.5).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError

LANDMARKS_FILE = "landmarks_68.csv"
HEADER = ["file", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
FARTHEST = 1e6  # pixels

Points = Float[np.ndarray, "68 2"]


def read_landmarks(path: Path | str) -> dict[str, Points]:
    """Read a table of landmarks: file name as written there -> (68, 2) pixels.

    Raises:
        InputError: the table is missing or malformed; the message names file and row.
    """
    path = Path(path)
    table: dict[str, Points] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if [name.strip() for name in header] != HEADER:
                raise InputError(f"{path}, row 1: expected the columns file,x0,y0,...,x67,y67, got {_excerpt(header)}")
            for number, row in enumerate(rows, start=2):
                if row:
                    name, points = _read_row(row, f"{path}, row {number}")
                    if name in table:
                        raise InputError(f"{path}, row {number}: {name} is listed twice; keep one row of each")
                    table[name] = points
    except FileNotFoundError:
        raise InputError(f"there is no landmark table at {path}; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a landmark table ({error}); expected a CSV file in UTF-8") from None
    return table


def _read_row(row: list[str], where: str) -> tuple[str, Points]:
    if len(row) != len(HEADER):
        raise InputError(f"{where}: expected a file name and 136 numbers, got {len(row)} fields")
    try:
        values = [float(value) for value in row[1:]]
    except ValueError as error:  # of float()
        raise InputError(f"{where}: {error}; expected pixels") from None
    if not all(abs(value) <= FARTHEST for value in values):  # which NaN is not either
        raise InputError(
            f"{where}: a coordinate is not finite, or cannot be a pixel of a photograph (beyond ±{FARTHEST:g}); leave "
            f"the row "
            "out where points are unknown"
        )
    return row[0].strip().replace("\\", "/"), np.array(values, dtype=np.float32).reshape(68, 2)


def _excerpt(row: list[str]) -> str:
    text = ",".join(row)
    return repr(text if len(text) < 60 else text[:57] + "...")


def find_landmarks(root: Path, photos: Iterable[str]) -> dict[str, Points]:
    """Given landmarks of photographs, from the tables beside or above them.

    Tables are looked for in each photograph's folder, in the folders above it up to `root`, and in the folder that
    holds `root`; the nearest one that lists the photograph counts. A table may name a photograph by its path from the
    table's folder, or by its bare name if only one photograph below that folder has it.

    Args:
        root: the folder of photographs.
        photos: their paths relative to `root`, with ``/``.

    Returns:
        photograph -> (68, 2) pixels, for those that are listed.

    Raises:
        InputError: a malformed table, or a bare name that fits several photographs.
    """
    found: dict[str, Points] = {}
    pending = {photo: f"{root.name}/{photo}" for photo in photos}  # paths from the folder that holds root
    folders = {Path(path).parent for path in pending.values()}
    folders |= {above for folder in folders for above in folder.parents}
    for folder in sorted(folders, key=lambda folder: (-len(folder.parts), str(folder))):
        file = root.parent / folder / LANDMARKS_FILE
        if not file.is_file():
            continue
        table = read_landmarks(file)
        prefix = "" if folder == Path() else f"{folder.as_posix()}/"
        by_bare_name: dict[str, str] = {}
        for photo, path in pending.items():
            if photo in found or not path.startswith(prefix):
                continue
            below = path[len(prefix) :]
            if below in table:
                found[photo] = table[below]
            elif (bare := below.rsplit("/", 1)[-1]) in table:
                if bare in by_bare_name:
                    raise InputError(
                        f"{file}: {bare} fits both {by_bare_name[bare]} and {photo}; "
                        "write their paths from the table's folder"
                    )
                by_bare_name[bare] = photo
                found[photo] = table[bare]
    return found
