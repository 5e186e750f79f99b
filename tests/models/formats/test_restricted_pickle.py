"""Pickles are read as data: arrays come out, and nothing that a pickle asks for is ever run."""

from __future__ import annotations

import builtins
import datetime
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sparse

from mofa3d.models import load_model
from mofa3d.models.formats.restricted_pickle import read_arrays


class Python2Pickler(pickle._Pickler):
    """Writes bytes as the strings of Python 2, and the names that modules had in its time."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def dumps_as_python2(content: object, path: Path) -> None:
    with open(path, "wb") as file:
        Python2Pickler(file, protocol=2).dump(content)
    old = path.read_bytes().replace(b"numpy._core", b"numpy.core").replace(b"scipy.sparse._cs", b"scipy.sparse.cs")
    path.write_bytes(old)


@pytest.mark.parametrize("protocol", ["python2", 0, 1, 2, 3, 4, 5])
def test_arrays_come_back(tmp_path, protocol):
    random = np.random.default_rng(0)
    dense = random.normal(size=(7, 5)) * (random.random((7, 5)) < 0.4)
    content = {
        "double": random.normal(size=(4, 3)),
        "single, by columns": np.asfortranarray(random.normal(size=(4, 3, 2)).astype(np.float32)),
        "index": np.arange(6, dtype=np.uint32).reshape(2, 3),
        "big-endian": np.arange(5, dtype=">i8"),
        "flag": np.array([True, False]),
        "columns": sparse.csc_matrix(dense),
        "rows": sparse.csr_matrix(dense),
    }
    others = {"text": "lbs", "number": 3, "list": [1, 2], "texts": np.array(["a", "b"])}
    if protocol == "python2":
        dumps_as_python2({**content, **others}, tmp_path / "model.pkl")
    else:
        (tmp_path / "model.pkl").write_bytes(pickle.dumps({**content, **others}, protocol=protocol))
    if protocol == 5:  # of buffers of its own, which published files do not have
        with pytest.raises(ValueError, match=r"refers to numpy._core.numeric._frombuffer"):
            read_arrays(tmp_path / "model.pkl")
        return
    arrays = read_arrays(tmp_path / "model.pkl")
    assert arrays.keys() == content.keys()
    for key, value in content.items():
        expected = value.toarray() if sparse.issparse(value) else value
        np.testing.assert_array_equal(arrays[key], expected)
        assert arrays[key].dtype == expected.dtype


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def attacks(marker: Path) -> dict[str, object]:
    """What would create the marker, if it were run."""
    return {
        "system": Call(os.system, f"touch {marker}"),
        "popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "open": Call(builtins.open, str(marker), "w"),
        "eval": Call(eval, f"open({str(marker)!r}, 'w')"),
        "exec": Call(exec, f"open({str(marker)!r}, 'w')"),
        "attribute": Call(getattr, Path(marker), "touch"),
        "import": Call(__import__, "antigravity"),
        "numpy": Call(np.save, str(marker), np.zeros(1)),
        "numpy file": Call(np.fromfile, str(marker)),
        "date": Call(datetime.datetime.now),
    }


@pytest.mark.parametrize("attack", attacks(Path("/nowhere")))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_attacks_are_refused_and_nothing_is_run(tmp_path, attack, protocol):
    marker, file = tmp_path / "marker", tmp_path / "generic_model.pkl"
    content = {"v_template": np.zeros((3, 3)), "shapedirs": attacks(marker)[attack]}
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    for read in (read_arrays, lambda path: load_model("flame", path=path)):
        with pytest.raises(ValueError, match=r"refers to .*, which no array needs; it may be an attack, and noth"):
            read(file)
    assert not marker.exists()
    assert list(tmp_path.iterdir()) == [file]


def test_the_attacks_work_with_pickle_itself(tmp_path):
    """Else the test above would say nothing."""
    for name in ("system", "open", "eval"):
        marker = tmp_path / name
        pickle.loads(pickle.dumps(attacks(marker)[name]))
        assert marker.exists()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


@pytest.mark.parametrize(
    "program",
    [
        # Names with dots, the registry of extensions, references to objects elsewhere.
        b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
        b"\x82\x01.",
        b"Pfile\n.",
        # Objects of unexpected classes through the oldest way.
        b"ccopy_reg\n_reconstructor\n(cnumpy\ndtype\nc__builtin__\nobject\nNtR.",
        # Arrays that are told wrong sizes or types.
        b"(dS'a'\n" + ARRAY + b"(I1\n(I1000000000\ntcnumpy\ndtype\n(S'f8'\ntR(I3\nS'<'\ntbI00\nS'12345678'\ntbs.",
        b"(dS'a'\n" + ARRAY + b"(I1\n(I-1\ntcnumpy\ndtype\n(S'f8'\ntR(I3\nS'<'\ntbI00\nS'12345678'\ntbs.",
        b"(dS'a'\n" + ARRAY + b"s.",
    ],
)
def test_crafted_programs_are_refused(tmp_path, program):
    (tmp_path / "crafted.pkl").write_bytes(program)
    with pytest.raises(ValueError, match=r"crafted.pkl cannot be read as a pickle of arrays"):
        read_arrays(tmp_path / "crafted.pkl")


def test_arrays_of_objects_are_left_out(tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": np.array([{}, None]), "b": np.ones(2)}, protocol=2))
    assert read_arrays(tmp_path / "model.pkl").keys() == {"b"}


def test_sparse_matrices_that_point_outside_are_refused(tmp_path):
    matrix = sparse.csc_matrix(np.eye(4))
    matrix.indices[2] = 900
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": matrix}, protocol=2))
    with pytest.raises(ValueError, match="cannot be read as a pickle of arrays"):
        read_arrays(tmp_path / "model.pkl")
