"""Deep3DFaceRecon's face model, from a file written here in its published format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from face_files import Face, check_face, check_geometry, check_reflectance, make_face

from mofa3d.models import load_model

FRONTAL = np.flatnonzero(np.abs(make_face().uv - 0.5).max(axis=1) < 0.35)


def content_of(face: Face) -> dict[str, np.ndarray]:
    """Decimetres, 0 to 255, scaled columns, everything counted from 1."""
    single = np.float32
    return {
        "meanshape": (face.vertices / 100).reshape(1, -1).astype(single),
        "meantex": (255 * face.mean_color).reshape(1, -1).astype(single),
        "idBase": (face.shape * face.shape_deviations / 100).astype(single),
        "exBase": (face.expression * face.expression_deviations / 100).astype(single),
        "texBase": (face.color * face.color_deviations * 255).astype(single),
        "tri": (face.faces + 1).astype(single),
        "keypoints": (face.landmarks[None] + 1).astype(single),
        "frontmask2_idx": (FRONTAL[:, None] + 1).astype(single),
        "point_buf": np.ones((face.count, 8), single),
        "skinmask": np.ones((1, face.count), single),
    }


def write(folder: Path, **changed: object) -> Path:
    content = {key: value for key, value in {**content_of(make_face()), **changed}.items() if value is not None}
    scipy.io.savemat(folder / "BFM_model_front.mat", content)
    return folder / "BFM_model_front.mat"


def test_round_trip(tmp_path):
    face = make_face()
    for path in (write(tmp_path), tmp_path):
        model = load_model("deep3d", path=path)
        check_geometry(model, face)
        check_reflectance(model, face)
        check_face(model, face)
        assert np.array_equal(np.flatnonzero(model.frontal.numpy()), FRONTAL)
        assert model.name == "deep3d"


def test_triangles_of_any_winding_look_outwards(tmp_path):
    faces = make_face().faces.copy()
    faces[::3] = faces[::3, [0, 2, 1]]
    model = load_model("deep3d", path=write(tmp_path, tri=(faces + 1).astype(np.float32)))
    check_face(model, make_face())


def test_fewer_modes(tmp_path):
    model = load_model("deep3d", path=write(tmp_path), shape_count=2, expression_count=1, reflectance_count=3)
    check_geometry(model, make_face(), shape=2, expression=1)
    check_reflectance(model, make_face(), modes=3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"exBase": None}, "it has no 'exBase'"),
        ({"idBase": np.ones((9, 80))}, "expected 1728 × any numbers as 'idBase', got 9 × 80"),
        ({"meanshape": np.ones((1, 1729))}, "'meanshape' has 1729 numbers, not three for each vertex"),
        ({"keypoints": np.ones((1, 5))}, "expected 1 × 68 numbers as 'keypoints', got 1 × 5"),
        ({"keypoints": np.full((1, 68), 577)}, "'keypoints' has indices from 577 to 577, expected 1 to 576"),
        ({"tri": np.array([[0, 1, 2]])}, "'tri' has indices from 0 to 2, expected 1 to 576"),
        ({"meantex": "skin"}, "'meantex' is a char, expected an array of numbers"),
        ({"meanshape": -content_of(make_face())["meanshape"]}, "its right eye is on its left"),
    ],
)
def test_wrong_content_is_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        load_model("deep3d", path=write(tmp_path, **changed))


def test_damaged_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs the file BFM_model_front.mat, which https://github.com/sicxu"):
        load_model("deep3d", path=tmp_path)
    file = write(tmp_path)
    whole = file.read_bytes()
    for damaged in (whole[:3000], b"text", b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"BFM_model_front.mat is not a usable .*get it again from https"):
            load_model("deep3d", path=file)
