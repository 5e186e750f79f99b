"""Files that come from elsewhere: what they unpack to is known before memory is taken for it.

Functions raise InputError with the reason alone; callers name the file and say what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from safetensors import safe_open

from mofa3d.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


MOST_TEXT = 64_000_000  # bytes of a JSON file
MOST_HEADER = 16_000_000  # bytes of what a .safetensors file says about its tensors
MOST_UNPACKED = 1_500_000_000  # bytes of arrays in one file; the largest that is published has a gigabyte
CHUNK = 1 << 20
# What zipfile and NumPy raise of damaged bytes.
NPZ_ERRORS = (OSError, EOFError, InputError, BadZipFile, NotImplementedError, RuntimeError, MemoryError)
MOST_RATIO, SMALL = 100, 10_000_000  # real numbers hardly shrink, so a file that grows more than that is a trap


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Let mistakes that are found in a file's content name the file."""
    try:
        yield
    except (InputError, UnicodeDecodeError) as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def check_unpacked(unpacked: int, packed: int) -> None:
    """Refuse what would fill the memory.

    Args:
        unpacked, packed: bytes in memory and in the file.

    Raises:
        InputError: more than `MOST_UNPACKED`, or more than a hundred times the file.
    """
    most = min(MOST_UNPACKED, SMALL + MOST_RATIO * packed)
    if unpacked > most:
        raise InputError(f"its {packed} bytes unpack to {unpacked} or more, and {most} are allowed")


def check_file(path: Path, most: int | None = None) -> int:
    """The size of a regular file, in bytes.

    Raises:
        InputError: it is missing, a folder, a device or a pipe, or larger than `most` bytes.
    """
    if not path.is_file():
        raise InputError("it is not a file" if path.exists() else "there is no such file")
    size = path.stat().st_size
    if most is not None and size > most:
        raise InputError(f"it has {size} bytes, more than the {most} that are allowed")
    return size


def read_json(path: Path, most: int = MOST_TEXT) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it is missing, too large, no JSON, or nested too deeply.
    """
    check_file(path, most)
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # of json
        raise InputError(str(error)) from error


def read_arrays(path: Path, wanted: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` file by name.

    Args:
        wanted: those to read, as far as they are there; all by default.

    Raises:
        InputError: it is missing, damaged, holds anything but numbers, or unpacks to too much.
    """
    size = check_file(path)
    try:
        with ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = members if wanted is None else {name: members[name] for name in wanted if name in members}
            check_unpacked(sum(info.file_size for info in chosen.values()), size)
            return {name: _read_array(archive, info) for name, info in chosen.items()}
    except InputError:
        raise
    except NPZ_ERRORS as error:
        raise InputError(f"it is not a complete .npz file: {error}") from error
    except Exception as error:  # zlib and the parser of headers have more kinds of their own
        raise InputError(f"it is not a complete .npz file: {error!r}") from error


def _read_array(archive: ZipFile, info: ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise InputError(f"{info.filename} is of version {version} of NumPy's format, expected 1 or 2")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read_header(file)
        if kind.hasobject or any(length < 0 for length in shape):
            raise InputError(f"{info.filename} contains something other than plain numbers")
        expected = kind.itemsize * int(np.prod(shape, dtype=object))
        if expected > info.file_size:
            raise InputError(f"{info.filename} declares {expected} bytes and has {info.file_size}")
        content, filled = np.empty(expected, dtype=np.uint8), 0
        while part := file.read(CHUNK):  # to the end, where the checksum is compared
            if filled + len(part) > expected:
                raise InputError(f"{info.filename} has more than the {expected} bytes that it declares")
            content[filled : filled + len(part)] = np.frombuffer(part, dtype=np.uint8)
            filled += len(part)
        if filled < expected:
            raise InputError(f"{info.filename} has {filled} bytes, expected {expected}")
    return content.view(kind).reshape(shape, order="F" if fortran else "C")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of a ``.safetensors`` file by name, and their metadata.

    Raises:
        InputError: it is missing or damaged.
    """
    size = check_file(path)
    try:
        with open(path, "rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if size < 8 or header > min(MOST_HEADER, size - 8):
            raise InputError(f"its header has {header} bytes of {size}, and {MOST_HEADER} are allowed")
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except InputError:
        raise
    except Exception as error:  # safetensors has a kind of its own, and PyTorch others
        raise InputError(f"it is not a complete .safetensors file: {error}") from error
