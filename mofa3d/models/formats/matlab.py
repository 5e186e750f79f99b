"""Read MATLAB's files (version 5)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.io

from mofa3d.errors import InputError
from mofa3d.files.given import CHUNK, check_file, check_unpacked
from mofa3d.models.formats.source_file import SourceFile

ORDERS: dict[bytes, Literal["little", "big"]] = {b"IM": "little", b"MI": "big"}  # of bytes in numbers

HEADER, TAG = 128, 8  # bytes of a file and of a variable before their contents
COMPRESSED = 15  # the type of a variable
NUMBERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"single", "double"}


def read_mat(file: Path, source: SourceFile, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named variables of a file.

    Raises:
        InputError: it is no such file, is damaged, unpacks to too much, or one of them holds no numbers.
    """
    try:
        _check_size(file)
        # Cells and structures, which hold others, are read by recursion: only arrays of numbers are let in.
        kinds = {name: kind for name, _, kind in scipy.io.whosmat(file)}
        odd = [name for name in keys if kinds.get(name, "double") not in NUMBERS]
        if odd:
            raise InputError(f"{odd[0]!r} is a {kinds[odd[0]]}, expected an array of numbers")
        content = scipy.io.loadmat(file, variable_names=keys)
    except Exception as error:  # SciPy raises whatever the damaged bytes lead to
        raise source.damaged(file, f"it cannot be read as a MATLAB file ({error})") from error
    return {key: content[key] for key in keys if key in content}


def _check_size(file: Path) -> None:
    """Unpack every variable without keeping it: what one says about its own size need not be true."""
    size, unpacked = check_file(file), 0
    with open(file, "rb") as content:
        order = ORDERS.get(content.read(HEADER)[-2:])
        if order is None:
            raise InputError("it is not of version 5")
        while len(tag := content.read(TAG)) == TAG:
            kind, left = (int.from_bytes(half, order) for half in (tag[:4], tag[4:]))
            if content.tell() + left > size:
                raise InputError("it is cut off")
            if kind != COMPRESSED:
                content.seek(left, 1)
                continue
            stream = zlib.decompressobj()
            while left and not stream.eof:
                part = content.read(min(left, CHUNK))
                left -= len(part)
                while part and not stream.eof:
                    unpacked += len(stream.decompress(part, CHUNK))
                    check_unpacked(unpacked, size)
                    part = stream.unconsumed_tail
            content.seek(left, 1)
