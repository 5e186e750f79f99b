"""The Basel Face Models 2017 and 2019, from files written here in their published format."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from face_files import check_face, check_geometry, check_reflectance, make_face, make_reference

from mofa3d.models import load_model

h5py = pytest.importorskip("h5py")

NAMES = {"bfm2017": "model2017-1_face12_nomouth.h5", "bfm2019": "model2019_face12.h5"}
OFFSET = np.array([0.5, -0.25, 1.0])  # mm, of the expressions' mean


def content_of(version: tuple[int, int] = (0, 9)) -> dict[str, object]:
    """Three models of one mesh: interleaved means, unit columns with variances, triangles (3, T)."""
    face = make_face()
    content: dict[str, object] = {"version/majorVersion": version[0], "version/minorVersion": version[1]}
    models = {
        "shape": (face.vertices - OFFSET, face.shape, face.shape_deviations),
        "expression": (np.tile(OFFSET, (face.count, 1)), face.expression, face.expression_deviations),
        "color": (face.mean_color, face.color, face.color_deviations),
    }
    for group, (mean, basis, deviations) in models.items():
        content[f"{group}/model/mean"] = mean.ravel().astype(np.float32)
        content[f"{group}/model/pcaBasis"] = (basis if version != (0, 8) else basis * deviations).astype(np.float32)
        content[f"{group}/model/pcaVariance"] = np.square(deviations).astype(np.float32)
        content[f"{group}/model/noiseVariance"] = np.zeros(1, np.float32)
        content[f"{group}/representer/points"] = face.vertices.T.astype(np.float32)
        content[f"{group}/representer/cells"] = face.faces.T.astype(np.int32)
    tip = face.vertices[face.landmarks[30]].tolist()
    content["metadata/landmarks/json"] = json.dumps([{"id": "center.nose.tip", "coordinates": tip}])
    return content


def write(folder: Path, name: str = "bfm2017", version: tuple[int, int] = (0, 9), **changed: object) -> Path:
    with h5py.File(folder / NAMES[name], "w") as file:
        for key, value in {**content_of(version), **changed}.items():
            if value is not None:
                file[key] = value
    return folder / NAMES[name]


def load(path: Path, name: str = "bfm2017", **options):
    return load_model(name, path=path, landmarks=make_face().landmarks.tolist(), reference=make_reference(), **options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", [(0, 8), (0, 9)])
def test_round_trip(tmp_path, name, version):
    for path in (write(tmp_path, name, version), tmp_path):
        model = load(path, name)
        check_geometry(model, make_face())
        check_reflectance(model, make_face())
        check_face(model, make_face())
        assert model.name == name


def test_fewer_modes(tmp_path):
    model = load(write(tmp_path), shape_count=4, expression_count=0, reflectance_count=2)
    check_geometry(model, make_face(), shape=4, expression=0)
    check_reflectance(model, make_face(), modes=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape/model/pcaBasis": None}, "it has no 'shape/model/pcaBasis'"),
        ({"color/model/mean": np.zeros(9)}, "expected 9 × any numbers as 'color/model/pcaBasis', got 1728 × 6"),
        ({"expression/model/pcaVariance": np.ones(9)}, "expected 4 numbers as 'expression/model/pcaVariance', got 9"),
        ({"shape/model/mean": "text"}, "'shape/model/mean' is of type .*, expected numbers"),
        ({"shape/model/pcaVariance": -np.ones(5)}, "'shape/model/pcaVariance' has negative values"),
        ({"shape/representer/cells": np.full((3, 1), 576)}, "has indices from 576 to 576, expected 0 to 575"),
        ({"shape/model/mean": 1e-3 * content_of()["shape/model/mean"]}, "'center.nose.tip' is .* mm away"),
    ],
)
def test_wrong_content_is_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, **changed))


def test_damaged_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2019 needs the file model2019_face12.h5, which https://faces.*2019.html"):
        load(tmp_path, "bfm2019")
    file = write(tmp_path)
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no HDF5", b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is not a usable model2017-1.*cannot be read as an HDF5 file"):
            load(file)


def test_missing_package_is_named(tmp_path, monkeypatch):
    file = write(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"needs the package h5py; install it with: pip install mofa3d\[bfm\]"):
        load(file)
