"""Files of face models that are traps: they are refused before they fill the memory or end the process."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sparse
import torch
from safetensors.torch import load_file, save_file
from tiny_model import make_tiny_model

from mofa3d.files.given import MOST_UNPACKED, check_unpacked, read_arrays, read_tensors
from mofa3d.models import load_model
from mofa3d.models.formats.matlab import read_mat
from mofa3d.models.formats.restricted_pickle import read_arrays as read_pickle
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import read_model, save_model

SOURCE = SourceFile("model.mat", "a face model", "https://example.org")
LITTLE = 60_000_000  # bytes that a refusal may take


@pytest.fixture
def little_memory():
    """Fail if a test takes more memory than a refusal needs."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LITTLE


def test_what_may_be_unpacked():
    check_unpacked(10_000_000, 1)
    check_unpacked(MOST_UNPACKED, 10**9)
    for unpacked, packed in ((MOST_UNPACKED + 1, 10**9), (110_000_001, 1_000_000)):
        with pytest.raises(ValueError, match=f"{packed} bytes unpack to {unpacked} or more, and .* are allowed"):
            check_unpacked(unpacked, packed)


def test_matlab_file_that_inflates_is_refused(tmp_path, little_memory):
    path = tmp_path / "model.mat"
    scipy.io.savemat(path, {"shapePC": np.zeros(4)}, do_compression=True)
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    header = path.read_bytes()[:128]
    path.write_bytes(header + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(ValueError, match=rf"{path} is not a usable model.mat .* bytes unpack to .* are allowed"):
        read_mat(path, SOURCE, ("shapePC",))


def test_matlab_cells_are_no_arrays(tmp_path):
    path = tmp_path / "model.mat"
    cells: object = 1.0
    for _ in range(30):
        inner = np.empty((1, 1), dtype=object)
        inner[0, 0] = cells
        cells = inner
    scipy.io.savemat(path, {"shapePC": cells, "other": {"a": 1}})
    with pytest.raises(ValueError, match="'shapePC' is a cell, expected an array of numbers"):
        read_mat(path, SOURCE, ("shapePC",))
    assert read_mat(path, SOURCE, ("texPC",)) == {}


class TestHdf5:
    @pytest.fixture
    def path(self, tmp_path) -> Path:
        pytest.importorskip("h5py")
        return tmp_path / "model2017-1_face12_nomouth.h5"

    def refuse(self, path: Path, message: str) -> None:
        with pytest.raises(ValueError, match=rf"{path} is not a usable .*{message}"):
            load_model("bfm2017", path=path)

    def test_virtual_data_set(self, path, little_memory):
        import h5py

        with h5py.File(path, "w") as file:
            layout = h5py.VirtualLayout((10**9,), dtype="f8")
            layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (10**9,))
            file.create_virtual_dataset("shape/model/mean", layout)
        self.refuse(path, "'shape/model/mean' refers to data outside the file")

    def test_external_data_set(self, path, little_memory):
        import h5py

        with h5py.File(path, "w") as file:
            external = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("shape/model/mean", (10**9,), dtype="f8", external=external)
        self.refuse(path, "'shape/model/mean' refers to data outside the file")

    def test_link_to_another_file(self, path, tmp_path):
        import h5py

        with h5py.File(tmp_path / "other.h5", "w") as other:
            other["mean"] = np.zeros(6)
        with h5py.File(path, "w") as file:
            file["shape/model/mean"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/mean")
        self.refuse(path, r"'shape/model/mean' leads elsewhere \(ExternalLink\)")
        with h5py.File(path, "w") as file:
            file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
            file["shape/model/mean"] = h5py.SoftLink("/a/mean")
        self.refuse(path, r"'a/mean' leads elsewhere \(ExternalLink\)")

    def test_links_inside_the_file_are_followed(self, path):
        import h5py

        from mofa3d.models.bfm2017 import _dataset

        with h5py.File(path, "w") as file:
            file["real/mean"] = np.arange(3.0)
            file["shape"] = h5py.SoftLink("real")
            file["circle"] = h5py.SoftLink("/circle")
            assert _dataset(file, "shape/mean")[()].tolist() == [0, 1, 2]
            with pytest.raises(ValueError, match=r"'circle' leads elsewhere \(SoftLink\)"):
                _dataset(file, "circle")

    def test_data_set_without_its_numbers(self, path, little_memory):
        import h5py

        with h5py.File(path, "w") as file:
            file.create_dataset("shape/model/mean", (10**9,), dtype="f8", chunks=(1000,))
        self.refuse(path, "bytes unpack to 8000000000 or more")


class TestPickles:
    def refuse(self, path: Path, content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{path} cannot be read as a pickle of arrays: {message}"):
            read_pickle(path)

    def test_nested_tuples_do_not_overflow_the_stack(self, tmp_path):
        deep = b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s."  # {((((…)))): 1}, whose key is hashed
        self.refuse(tmp_path / "deep.pkl", deep, "it holds more than 200 tuples in one another")
        marked = b"\x80\x02}" + b"(" * 1000 + b"t" * 1000 + b"K\x01s."
        self.refuse(tmp_path / "marked.pkl", marked, "it holds more than 200 tuples in one another")
        memo = b"\x80\x02})q\x00" + b"0h\x00\x85q\x00" * 1000 + b"h\x00K\x01s."
        self.refuse(tmp_path / "memo.pkl", memo, "it holds more than 200 tuples in one another")

    def test_memo_of_billions_of_places(self, tmp_path, little_memory):
        self.refuse(tmp_path / "memo.pkl", b"\x80\x02}r\xff\xff\xff\x7f.", "it keeps something at place 2147483647")

    def test_sparse_matrix_of_nothing(self, tmp_path, little_memory):
        matrix = sparse.csc_matrix(([1.0], ([0], [0])), shape=(10**6, 10**4))
        content = pickle.dumps({"J_regressor": matrix}, protocol=2)
        self.refuse(tmp_path / "sparse.pkl", content, "its 0 bytes unpack to 80000000000 or more")

    def test_damaged_pickles(self, tmp_path):
        whole = pickle.dumps({"a": np.arange(5.0)}, protocol=2)
        for number in range(len(whole)):
            self.refuse(tmp_path / "cut.pkl", whole[:number], "")


class TestArrays:
    def test_arrays_come_back(self, tmp_path):
        grid = np.arange(6.0).reshape(2, 3)
        arrays = {"a": grid, "b": np.asfortranarray(grid.astype(np.int32)), "c": np.array(2)}
        np.savez_compressed(tmp_path / "a.npz", **arrays)
        found = read_arrays(tmp_path / "a.npz")
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
        assert read_arrays(tmp_path / "a.npz", ("b", "d")).keys() == {"b"}

    def refuse(self, path: Path, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            read_arrays(path)

    def test_array_that_inflates(self, tmp_path, little_memory):
        about = {"descr": "<f8", "fortran_order": False, "shape": (25 * 2**20,)}
        packed = zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED)
        with packed as archive, archive.open("a.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, about)
            for _ in range(200):
                file.write(bytes(2**20))
        self.refuse(tmp_path / "a.npz", "bytes unpack to 209715328 or more")

    def test_array_that_announces_more_than_it_has(self, tmp_path, little_memory):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("a.npy", header.getvalue() + bytes(80))
        self.refuse(tmp_path / "a.npz", "a.npy declares 8000000000000 bytes and has 208")

    def test_objects(self, tmp_path):
        np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
        self.refuse(tmp_path / "a.npz", "a.npy contains something other than plain numbers")

    def test_flipped_bit(self, tmp_path):
        np.savez(tmp_path / "a.npz", a=np.arange(100.0))
        raw = bytearray((tmp_path / "a.npz").read_bytes())
        raw[400] ^= 1
        (tmp_path / "a.npz").write_bytes(raw)
        self.refuse(tmp_path / "a.npz", "Bad CRC-32")

    def test_tensors_with_an_endless_header(self, tmp_path, little_memory):
        (tmp_path / "a.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
        with pytest.raises(ValueError, match="its header has 1099511627776 bytes of 10"):
            read_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mean_shape", lambda value: value * torch.tensor([1, torch.nan, 1]), "mean_shape has values that are"),
        ("shape_basis", lambda value: value * 1e30, "shape_basis has values that are NaN, infinite or beyond ±1e\\+06"),
        ("expression_basis", lambda value: value[:, :2], r"torch.float32 of the shape \(144, 2, 4\)"),
        ("reflectance_basis", lambda value: value.long(), "reflectance_basis is torch.int64"),
        ("frontal", lambda value: value.float(), "frontal is torch.float32"),
        ("uv", lambda value: value.double(), "uv is torch.float64, and mean_shape is torch.float32"),
        ("faces", lambda value: value[:0], "it has no triangle"),
        ("faces", lambda value: value - 1, "faces has indices from -1 to"),
        ("landmark_faces", lambda value: value + 1000, "landmark_faces has indices from"),
        ("landmark_weights", lambda value: value[:5], r"landmark_weights is torch.float32 of the shape \(5, 3\)"),
        ("uv", lambda value: value / 0, "uv has values that are NaN, infinite"),
        ("mean_shape", lambda value: value.sum(), r"mean_shape is torch.float32 of the shape \(\) for 0 vertices"),
        ("mean_shape", None, r"lacks \['mean_shape'\]"),
    ],
)
def test_damaged_parts_of_a_face_model_are_named(tmp_path, name, change, message):
    path = tmp_path / "model.safetensors"
    save_model(make_tiny_model(), path)
    tensors = load_file(path)
    if change is None:
        del tensors[name]
    else:
        tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, path, {"mofa3d": '{"name": "tiny"}'})
    with pytest.raises(ValueError, match=rf"{path} is not a mofa3d model file \(.*{message}"):
        read_model(path)
