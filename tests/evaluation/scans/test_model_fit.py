"""A face model fitted to scans of its own faces finds them, and its prior draws codes to zero."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from programs import load
from scanned_faces import make_face_model, write_person
from scipy.spatial.transform import Rotation

from mofa3d.errors import InputError
from mofa3d.evaluation.scans.distance import scan_distances
from mofa3d.evaluation.scans.model_fit import ShapeSpace, fit_scan
from mofa3d.evaluation.scans.scan import FaceMesh
from mofa3d.models.alignment import Similarity
from mofa3d.morphable_model import save_model

MODEL = make_face_model()
SPACE = ShapeSpace(MODEL)
CODE = np.array([1.0, -1.0, 0.5, 1.0, -0.5])
MOVED = Similarity(1.1, Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix(), np.array([30.0, -400.0, 50.0]))


def moved(face: FaceMesh) -> FaceMesh:
    return FaceMesh(MOVED(face.vertices), face.faces, MOVED(face.landmarks))


def test_a_face_of_the_model_is_found_wherever_it_lies():
    scan = moved(SPACE.face(CODE))
    found = fit_scan(scan, SPACE, 1e-6)
    distances = scan_distances(scan, found.face)
    before = scan_distances(scan, SPACE.face(np.zeros(5)))
    assert np.median(distances) < 0.02 < 0.1 < np.median(before)
    again = MODEL.geometry(torch.from_numpy(found.code)[None].float(), torch.zeros(1, MODEL.sizes.expression))[0]
    np.testing.assert_allclose(found.face.vertices, again.numpy(), atol=1e-3)


def test_the_prior_is_a_price():
    scan = moved(SPACE.face(CODE))
    sizes = [np.square(fit_scan(scan, SPACE, prior).code).sum() for prior in (1e-6, 1e-1, 1e4)]
    assert sizes[0] > sizes[1] > 10 * sizes[2]
    assert sizes[2] < 1e-3


def test_the_program_lists_each_scan_and_their_mean(tmp_path, portrait, capsys):
    save_model(MODEL, tmp_path / "tiny.safetensors")
    for name, code in (("anna", CODE), ("bea", -CODE)):
        write_person(tmp_path / "scans" / name, moved(SPACE.face(code)))
        (tmp_path / "scans" / name / "1.jpg").write_bytes(portrait.read_bytes())
    program = load("fit_scans")
    program.main(
        program.Config(
            scans=tmp_path / "scans",
            model_path=str(tmp_path / "tiny.safetensors"),
            priors=(1e-6, 1e4),
            out=tmp_path / "out",
        )
    )
    numbers = json.loads((tmp_path / "out" / "report.json").read_text())
    assert numbers["scans"] == ["mean", "anna", "bea"]
    medians = np.array(numbers["median"])
    np.testing.assert_allclose(medians[0], medians[1:].mean(axis=0))
    assert (medians[1:, 0] < 0.02).all()
    np.testing.assert_allclose(medians[:, 1], numbers["average"], atol=1e-3)  # so dear that nothing moves
    assert "| anna |" in capsys.readouterr().out
    with pytest.raises(InputError, match="--priors must be positive"):
        program.Config(scans=tmp_path, priors=(0.0,))
