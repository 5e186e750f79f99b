"""Models of the library eos, from archives written here as its serialisation does."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from face_files import check_face, check_geometry, check_reflectance, make_face, make_reference

from mofa3d.models import load_model

NAME = "sfm_shape_3448.bin"


def matrix(values: np.ndarray) -> bytes:
    return struct.pack("<ii", *values.shape) + values.astype("<f4").tobytes(order="F")


def rows(values: np.ndarray, kind: str) -> bytes:
    return struct.pack("<Q", len(values)) + np.ascontiguousarray(values, kind).tobytes()


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def pca(mean: np.ndarray, basis: np.ndarray, deviations: np.ndarray, triangles: np.ndarray) -> bytes:
    return matrix(mean.reshape(-1, 1)) + matrix(basis) + matrix(np.square(deviations)[:, None]) + rows(triangles, "<i4")


def blendshapes() -> bytes:
    face = make_face()
    columns = (face.expression * face.expression_deviations).T
    items = [string(f"e{i}") + matrix(column[:, None]) for i, column in enumerate(columns)]
    return struct.pack("<Q", len(items)) + b"".join(items)


def archive(version: int = 4, expression: str = "pca", color: bool = True, named: bool = True) -> bytes:
    """A whole model; texture coordinates from the top left, in another order from version 4 on."""
    face = make_face()
    nothing = matrix(np.zeros((0, 0))) * 3 + rows(np.zeros((0, 3)), "<i4")
    content = struct.pack("<I", version)
    content += pca(face.vertices, face.shape, face.shape_deviations, face.faces)
    content += pca(face.mean_color, face.color, face.color_deviations, face.faces) if color else nothing
    if version >= 2:
        absent, present = b"\1", b"\0"
        kinds = {
            "none": absent,
            "pca": present + struct.pack("<i", 0)
            + pca(np.zeros(3 * face.count), face.expression, face.expression_deviations, face.faces),
            "blendshapes": present + struct.pack("<i", 1) + blendshapes(),
        }  # fmt: skip
        content += kinds[expression]
    if version >= 3:
        pairs = b"".join(string(str(i + 1)) + struct.pack("<i", v) for i, v in enumerate(face.landmarks))
        content += b"\0" + struct.pack("<Q", 68) + pairs if named else b"\1"
    texture = face.uv * [1, -1] + [0, 1]
    if version >= 4:
        return content + rows(texture[::-1], "<f8") + rows(face.count - 1 - face.faces, "<i4")
    return content + rows(texture, "<f8")


def write(folder: Path, content: bytes) -> Path:
    (folder / NAME).write_bytes(content)
    return folder / NAME


def load(path: Path, **options):
    return load_model("eos", path=path, reference=make_reference(), **options)


@pytest.mark.parametrize(
    ("version", "expression"),
    [(1, "none"), (2, "pca"), (3, "none"), (3, "blendshapes"), (4, "pca"), (4, "blendshapes")],
)
def test_round_trip(tmp_path, version, expression):
    face = make_face()
    landmarks = None if version >= 3 else face.landmarks.tolist()
    for path in (write(tmp_path, archive(version, expression)), tmp_path):
        model = load(path, landmarks=landmarks)
        check_geometry(model, face, expression=0 if expression == "none" else None)
        check_reflectance(model, face)
        check_face(model, face)
        np.testing.assert_allclose(model.uv.numpy(), face.uv, atol=1e-6)
        assert model.name == "eos"


def test_blendshapes_of_their_own_file(tmp_path):
    file = write(tmp_path, archive(3, "none"))
    (tmp_path / "mine.bin").write_bytes(blendshapes())
    check_geometry(load(file, expressions=tmp_path / "mine.bin"), make_face())
    (tmp_path / "mine.bin").rename(tmp_path / "expression_blendshapes_3448.bin")
    check_geometry(load(file), make_face())
    assert load(file, expression_count=2).sizes.expression == 2


def test_without_colors_the_reference_gives_them(tmp_path):
    model = load(write(tmp_path, archive(color=False)), reflectance_count=1)
    reference = make_reference()
    error = (model.mean_reflectance - reference.mean_reflectance).abs()
    assert float(error.median()) < 1e-3
    assert float(error.quantile(0.95)) < 0.01
    assert model.sizes.reflectance == 1
    torch.testing.assert_close(model.reflectance_basis[:, :, 0], 0.1 * model.mean_reflectance)


def test_landmarks_are_guessed_by_shape_without_names(tmp_path):
    model = load(write(tmp_path, archive(named=False)))
    points = model.landmarks(model.mean_shape[None])[0].numpy()
    expected = make_face().vertices[make_face().landmarks]
    assert np.abs(points - points[27:].mean(0) - expected + expected[27:].mean(0)).max() < 0.5


def _with(start: int, new: bytes) -> bytes:
    content = archive()
    return content[:start] + new + content[start + len(new) :]


FIRST_TRIANGLE = 4 + (8 + 4 * 1728) + (8 + 4 * 1728 * 5) + (8 + 4 * 5) + 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive()[:100_000], r"numbers of . bytes are announced at byte \d+, but only \d+ bytes follow"),
        (archive() + b"more", "4 bytes are left after its end"),
        (b"", "1 numbers of 4 bytes are announced at byte 0, but only 0 bytes follow"),
        (b"this is no archive", r"its version is \d+, expected one of 1 to 4"),
        (_with(0, b"\7"), "its version is 7, expected one of 1 to 4"),
        (_with(4, struct.pack("<i", -3)), "a matrix before byte 12 has -3 × 1 numbers"),
        (_with(4, struct.pack("<ii", 1, 1728)), "expected any × 1 numbers as 'mean', got 1 × 1728"),
        (_with(12, b"\0\0\xc0\x7f"), "'mean' has values that are not finite"),
        (_with(FIRST_TRIANGLE, struct.pack("<i", 576)), "'triangles' has indices from 0 to 576, expected 0 to 575"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, content))


def test_damaged_blendshapes_are_refused(tmp_path):
    file = write(tmp_path, archive(3, "none"))
    wrong = struct.pack("<Q", 1) + string("smile") + matrix(np.zeros((9, 1)))
    for content, message in (
        (blendshapes()[:-1], "are announced"),
        (wrong, "expected 1728 × 1 numbers as 'smile', got 9 × 1"),
        (b"\xff" * 20, "items are announced before byte 8, more than there are bytes"),
    ):
        (tmp_path / "expression_blendshapes_3448.bin").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(file)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"a face model of eos needs the file sfm_shape_3448.bin, which https://github"
    ):
        load(tmp_path)
