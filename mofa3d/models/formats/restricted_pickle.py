"""Read arrays out of other people's pickles without running anything that is in them.

A pickle is a program: it may name any function of any module and have it called. Here only the names that arrays are
made of are known, and each stands for a class of this file that keeps what it is given and does nothing. Not even
NumPy's own functions are called, which trust the sizes and types that they are told.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.sparse as sparse

from mofa3d.errors import InputError
from mofa3d.files.given import check_file, check_unpacked
from mofa3d.models.formats.pickle_scan import check_pickle


class _DataType:
    """Stands for `numpy.dtype`: a code such as ``f8``, and the byte order that follows as its state."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def numeric(self) -> np.dtype | None:
        if self.code[:1] not in ("f", "i", "u", "b") or self.order not in ("<", ">", "=", "|"):
            return None
        return np.dtype(self.order + self.code)


class _Array:
    """Stands for `numpy.ndarray`."""

    def __init__(self, *_: object) -> None:
        self.state: tuple | None = None

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def array(self) -> np.ndarray | None:
        """The numbers; ``None`` for an array of anything else."""
        _, shape, data_type, fortran, raw = cast(tuple, self.state)
        numeric = data_type.numeric()
        if numeric is None:
            return None
        # Strings of Python 2 arrive decoded as Latin-1, which maps bytes to characters one to one.
        content = raw.encode("latin1") if isinstance(raw, str) else raw
        if len(content) != math.prod(shape) * numeric.itemsize:
            raise pickle.UnpicklingError(f"an array of the shape {shape} has {len(content)} bytes")
        return np.frombuffer(content, dtype=numeric).reshape(shape, order="F" if fortran else "C")


class _WithState:
    """Stands for an object of a class that is not imported: keeps its attributes."""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _Chumpy(_WithState):
    """Stands for `chumpy.ch.Ch`, which keeps its numbers as ``x``."""

    def array(self) -> np.ndarray | None:
        return self.state["x"].array()


class _Columns(_WithState):
    """Stands for `scipy.sparse.csc_matrix`."""

    kind = sparse.csc_matrix

    def array(self) -> np.ndarray:
        parts = tuple(self.state[part].array() for part in ("data", "indices", "indptr"))
        shape = cast(tuple, self.state.get("_shape", self.state.get("shape")))
        # Zeros that are not stored: J_regressor of FLAME is the largest, a quarter of a megabyte.
        check_unpacked(8 * math.prod(shape), 0)
        matrix = self.kind(parts, shape=shape)
        matrix.check_format(full_check=True)
        return matrix.toarray()


class _Rows(_Columns):
    """Stands for `scipy.sparse.csr_matrix`."""

    kind = sparse.csr_matrix


def _reconstruct(kind: type, *_: object) -> _Array:
    return _Array()


def _new(kind: type, *_: object) -> _WithState:
    """How pickles of the oldest protocols make objects."""
    if kind not in (_Chumpy, _Columns, _Rows):
        raise pickle.UnpicklingError("an object of an unexpected class")
    return kind()


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into old pickles, which is always Latin-1."""
    return str(text).encode("latin1")


_KNOWN = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    ("_codecs", "encode"): _encode,
    **{(module, "_reconstructor"): _new for module in ("copy_reg", "copyreg")},
    **{(module, kind.__name__): kind for module in ("__builtin__", "builtins") for kind in (object, set)},
    **{(module, "Ch"): _Chumpy for module in ("chumpy", "chumpy.ch")},
    **{(f"scipy.sparse.{module}", "csc_matrix"): _Columns for module in ("csc", "_csc")},
    **{(f"scipy.sparse.{module}", "csr_matrix"): _Rows for module in ("csr", "_csr")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it refers to {module}.{name}, which no array needs; it may be an attack, and nothing of it was "
                f"executed"
            ) from None


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of numbers by key, from the dictionary that a pickle of Python 2 or 3 holds; sparse ones become dense.

    Entries that are no arrays of numbers are left out.

    Raises:
        InputError: it is no such pickle, is damaged, or asks for anything but arrays.
    """
    try:
        size = check_file(path)
        raw = path.read_bytes()
        check_pickle(raw)
        content = _Unpickler(io.BytesIO(raw), encoding="latin1").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds a {type(content).__name__}, expected a dictionary")
        arrays, unpacked = {}, 0
        for key, value in content.items():
            if isinstance(key, str) and hasattr(value, "array"):
                arrays[key] = value.array()
                unpacked += 0 if arrays[key] is None else arrays[key].nbytes
                check_unpacked(unpacked, size)  # the same bytes can be an array many times
    except Exception as error:  # damaged bytes lead the unpickler to errors of any kind
        raise InputError(f"{path} cannot be read as a pickle of arrays: {error}") from error
    return {key: value for key, value in arrays.items() if value is not None}
