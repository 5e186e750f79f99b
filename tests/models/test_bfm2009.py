"""The Basel Face Model 2009, from files written here in its published format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from face_files import Face, check_face, check_geometry, check_reflectance, make_face, make_reference, part_of

from mofa3d.models import load_model

DROPPED = [0, 1, 23, 575]  # vertices without expressions: corners of the mesh
FRONT = slice(30, 540)


def content_of(face: Face) -> dict[str, np.ndarray]:
    """Micrometres, 0 to 255, triangles counted from 1 and clockwise."""
    single = np.float32
    return {
        "shapeMU": (1e3 * face.vertices).reshape(-1, 1).astype(single),
        "shapePC": face.shape.astype(single),
        "shapeEV": (1e3 * face.shape_deviations)[:, None].astype(single),
        "texMU": (255 * face.mean_color).reshape(-1, 1).astype(single),
        "texPC": face.color.astype(single),
        "texEV": (255 * face.color_deviations)[:, None].astype(single),
        "tl": (face.faces[:, [1, 0, 2]] + 1).astype(np.int32),
    }


def write(folder: Path, face: Face) -> Path:
    scipy.io.savemat(folder / "01_MorphableModel.mat", content_of(face))
    return folder / "01_MorphableModel.mat"


def write_expressions(folder: Path, face: Face) -> np.ndarray:
    keep = np.setdiff1d(np.arange(face.count), DROPPED)
    part = part_of(face, keep)
    mean = np.full(3 * len(keep), 5000, "<f4")  # which is to be left out
    modes = np.ascontiguousarray(part.expression.T, dtype="<f4")
    number = np.array([len(modes)], "<i4")
    (folder / "Exp_Pca.bin").write_bytes(number.tobytes() + mean.tobytes() + modes.tobytes())
    (folder / "std_exp.txt").write_text(" ".join(f"{1e3 * value:.9e}" for value in face.expression_deviations))
    scipy.io.savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (keep[:, None] + 1).astype(np.uint16)})
    front = np.arange(len(keep))[FRONT]
    scipy.io.savemat(folder / "BFM_front_idx.mat", {"idx": (front[:, None] + 1).astype(np.float32)})
    return keep


def load(path: Path, **options):
    options = {"landmarks": make_face().landmarks.tolist(), "reference": make_reference(), **options}
    return load_model("bfm2009", path=path, **options)


def test_without_expressions(tmp_path):
    face = make_face()
    model = load(write(tmp_path, face))
    check_geometry(model, face, expression=0)
    check_reflectance(model, face)
    check_face(model, face)
    assert model.name == "bfm2009"
    assert model.uv is None


def test_with_expressions_beside_or_elsewhere(tmp_path):
    face = make_face()
    write(tmp_path, face)
    (tmp_path / "elsewhere").mkdir()
    keep = write_expressions(tmp_path / "elsewhere", face)
    model = load(tmp_path, expressions=tmp_path / "elsewhere")
    check_geometry(model, part_of(face, keep))
    check_reflectance(model, part_of(face, keep))
    check_face(model, part_of(face, keep))
    write_expressions(tmp_path, face)
    assert load(tmp_path).fingerprint() == model.float().fingerprint()


def test_front(tmp_path):
    face = make_face()
    write(tmp_path, face)
    keep = write_expressions(tmp_path, face)[FRONT]
    model = load(tmp_path, front=True)
    check_geometry(model, part_of(face, keep))
    check_face(model, part_of(face, keep))


def test_fewer_modes(tmp_path):
    write(tmp_path, make_face())
    keep = write_expressions(tmp_path, make_face())
    model = load(tmp_path, shape_count=3, expression_count=2, reflectance_count=1)
    check_geometry(model, part_of(make_face(), keep), shape=3, expression=2)
    check_reflectance(model, part_of(make_face(), keep), modes=1)
    with pytest.raises(ValueError, match=r"shape_count is 6; the file has 5 modes: choose 0 to that many"):
        load(tmp_path, shape_count=6)


def test_landmarks_are_checked(tmp_path):
    file = write(tmp_path, make_face())
    with pytest.raises(ValueError, match=r"landmarks has the shape \(3,\); expected 68 vertices"):
        load_model("bfm2009", path=file, landmarks=[1, 2, 3])
    with pytest.raises(ValueError, match="landmarks has vertices from 0 to 900; the file has 0 to 575"):
        load_model("bfm2009", path=file, landmarks=[*range(67), 900])
    write_expressions(tmp_path, make_face())
    with pytest.raises(ValueError, match="landmark 5 is a vertex that the expressions do not cover"):
        load_model("bfm2009", path=file, landmarks=[9, 9, 9, 9, 9, 0, *range(100, 162)])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shapePC", None, "it has no 'shapePC'"),
        ("texEV", np.ones((7, 1)), "expected 6 × 1 numbers as 'texEV', got 7 × 1"),
        ("shapeMU", np.ones((1000, 1)), "'shapeMU' has 1000 numbers, not three for each vertex"),
        ("texMU", "grey", "'texMU' is a char, expected an array of numbers"),
        ("tl", np.array([[0, 1, 2]]), "'tl' has indices from 0 to 2, expected 1 to 576"),
        ("tl", np.array([[1, 2, 577]]), "'tl' has indices from 1 to 577, expected 1 to 576"),
        ("shapeEV", np.full((5, 1), np.nan), "'shapeEV' has values that are not finite"),
        ("shapeMU", 1e-6 * content_of(make_face())["shapeMU"], "conventions of its format: it is 0.0001"),
    ],
)  # fmt: skip
def test_wrong_content_is_refused(tmp_path, key, value, message):
    content = content_of(make_face())
    content = {**content, key: value} if value is not None else {k: v for k, v in content.items() if k != key}
    scipy.io.savemat(tmp_path / "01_MorphableModel.mat", content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_damaged_files_are_refused(tmp_path):
    file = write(tmp_path, make_face())
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not a MATLAB file at all", b""):
        file.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"01_MorphableModel.mat is not a usable .*get it again from https://faces"
        ):
            load(file)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"needs the file 01_MorphableModel.mat: get it from https://faces.* give its"):
        load_model("bfm2009")
    with pytest.raises(ValueError, match=r"there is no .*01_MorphableModel.mat; the Basel Face Model 2009 needs"):
        load_model("bfm2009", path=tmp_path)
    write(tmp_path, make_face())
    with pytest.raises(ValueError, match=r"front=True needs Exp_Pca.bin and BFM_front_idx.mat"):
        load(tmp_path, front=True)
    with pytest.raises(ValueError, match=r"there is no .*nowhere; the expressions of the Basel Face Model 2009 needs"):
        load(tmp_path, expressions=tmp_path / "nowhere")
    write_expressions(tmp_path, make_face())
    for name in ("BFM_front_idx.mat", "std_exp.txt", "BFM_exp_idx.mat"):
        (tmp_path / name).unlink()
        with pytest.raises(ValueError, match=f"there is no .*{name}"):
            load(tmp_path, front=True)


def test_damaged_expressions_are_refused(tmp_path):
    write(tmp_path, make_face())
    write_expressions(tmp_path, make_face())
    modes = (tmp_path / "Exp_Pca.bin").read_bytes()
    for damaged in (modes[:-4], modes + b"\0", b"", b"\xff\xff\xff\xff"):
        (tmp_path / "Exp_Pca.bin").write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"Exp_Pca.bin is not a usable .*: {len(damaged)} bytes, .* on 572"):
            load(tmp_path)
    (tmp_path / "Exp_Pca.bin").write_bytes(modes)
    for text, message in (("1 2 three 4", "could not convert"), ("1 2 3", "expected 4 numbers as 'deviations', got 3")):
        (tmp_path / "std_exp.txt").write_text(text)
        with pytest.raises(ValueError, match=message):
            load(tmp_path)
    scipy.io.savemat(tmp_path / "BFM_exp_idx.mat", {"trimIndex": np.array([[1], [900]], np.uint16)})
    with pytest.raises(ValueError, match="'trimIndex' has indices from 1 to 900, expected 1 to 576"):
        load(tmp_path)
