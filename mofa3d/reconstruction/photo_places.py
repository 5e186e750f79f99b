"""Where the photograph of a code is: written so that it is found again after one of them, or both, have moved."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from mofa3d.data.input_folders import relative
from mofa3d.data.photo import Photo, read_photo
from mofa3d.data.sources import ARCHIVE_SUFFIXES, Reader, find_items
from mofa3d.errors import InputError

ABOVE = 2  # folders above a code's own in which the photograph may lie beside it


def name_photo(name: str, folder: Path) -> dict[str, str]:
    """How a code names its photograph.

    Args:
        name: a file, ``ARCHIVE.tar#MEMBER``, or what a photograph that is no file is called.
        folder: of the code.
    """
    path, member = _split(name)
    if not Path(path).is_file():
        return {"photo": name}
    absolute = os.path.abspath(path)  # noqa: PTH100  (links stay as they are)
    return {"photo": f"{absolute}{member}", **relative(absolute, folder)}


def find_photo(folder: Path, named: dict) -> Iterator[str]:
    """Files that may be the photograph of a code, as `read_named` takes them, the likeliest first.

    Args:
        folder: of the code.
        named: what the code holds; see `name_photo`.
    """
    path, member = _split(named["photo"])
    here, file = named.get("from_here"), re.split(r"[\\/]", path)[-1]
    places = [folder / here] if isinstance(here, str) and here else []
    beside = [folder, *list(Path(os.path.abspath(folder)).parents)[:ABOVE]]  # noqa: PTH100
    places += [Path(path), folder / path, *(above / file for above in beside)]
    for place in dict.fromkeys(os.path.abspath(place) for place in places):  # noqa: PTH100
        if Path(place).is_file():
            yield f"{place}{member}"


def read_named(name: str) -> Photo:
    """Read a photograph, or a member of an archive.

    Raises:
        InputError: it is not there or cannot be read.
    """
    path, member = _split(name)
    if not member:
        return read_photo(name)
    for item in find_items([path]):
        if f"#{item.key.partition('#')[2]}" == member:
            return Reader().read(item)
    raise InputError(f"there is no {member[1:]} in {path}; give the archive that it was in, or the photograph itself")


def _split(name: str) -> tuple[str, str]:
    """A file, and the # and the name of the archive's member, if it is one."""
    for ending in ARCHIVE_SUFFIXES:
        path, mark, member = name.partition(f"{ending}#")
        if mark and not Path(name).is_file():
            return f"{path}{ending}", f"#{member}"
    return name, ""
