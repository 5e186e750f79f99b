"""Systems against scans: what fails is listed, the others go on; the numbers are those of the distances."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scanned_faces import make_face, make_face_model, write_person

from mofa3d import Camera, Decoder
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.scans import COLUMNS, compare_scans
from mofa3d.evaluation.scans.distance import scan_distances
from mofa3d.evaluation.scans.errors import (
    average_errors,
    face_mesh,
    measure_scans,
    predicted,
    read_scans,
    write_table,
)
from mofa3d.evaluation.scans.folder import find_scans
from mofa3d.evaluation.scans.scan import FaceMesh
from mofa3d.models.nearest_surface import vertex_normals
from mofa3d.semantic_code import SemanticCode

MODEL = make_face_model()


def true_code() -> SemanticCode:
    code = SemanticCode.zeros(1, MODEL.sizes)
    return code.replace(shape=torch.tensor([[1.0, -1.0, 0.5, 1.0, -0.5]]))


def scan_of(code: SemanticCode) -> FaceMesh:
    return face_mesh(MODEL, MODEL.geometry(code.shape, code.expression)[0])


@pytest.fixture
def folder(tmp_path, portrait):
    """Anna's and Bea's faces are the model's; Cem's scan is damaged."""
    root = tmp_path / "scans"
    for person in ("anna", "bea", "cem"):
        write_person(root / person, scan_of(true_code()))
        shutil.copyfile(portrait, root / person / "1.jpg")
    (root / "cem" / "scan.ply").write_bytes(b"ply\n")
    (root / "bea" / "near").mkdir()
    shutil.copyfile(portrait, root / "bea" / "near" / "2.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "bea" / "noise.png")
    (root / "bea" / "text.jpg").write_text("no image")
    return root


def test_the_true_face_is_no_error_and_what_fails_is_listed(folder, tmp_path):
    scans = read_scans(find_scans(folder), "mm", MODEL)
    assert set(scans.scans) == {"anna", "bea"}
    assert [failure.photo for failure in scans.failures] == ["cem"]
    assert "scan.ply cannot be read" in scans.failures[0].reason
    decode = Decoder(MODEL, Camera())
    found = measure_scans(predicted(lambda batch: true_code(), decode, landmarks=False), scans)
    assert [photo.path.name for photo in found.photos] == ["1.jpg", "1.jpg", "2.jpg"]
    assert [photo.group for photo in found.photos] == ["", "", "near"]
    assert all(float(value.max()) < 0.001 for value in found.errors.values())
    assert {failure.photo.rsplit("/", 1)[1]: failure.reason[:19] for failure in found.failures} == {
        "noise.png": "no face was found; ",
        "text.jpg": str(folder / "bea" / "text.jpg")[:19],
    }
    write_table(tmp_path / "scans.csv", found)
    with open(tmp_path / "scans.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["person"] for row in rows] == ["anna", "bea", "bea"]
    assert float(rows[2]["median"]) < 0.001


def test_numbers_are_those_of_the_distances(folder):
    scans = read_scans(find_scans(folder), "mm", MODEL)
    average = face_mesh(MODEL, MODEL.mean_shape)
    found = measure_scans(lambda photo, box: average, scans)
    for rigid, kind in ((False, ""), (True, "own size, ")):
        distances = scan_distances(scans.scans["anna"], average, rigid)
        for name, value in (("median", np.median), ("mean", np.mean), ("std", np.std)):
            assert float(found.errors[kind + name][0]) == pytest.approx(value(distances), rel=1e-5)
            assert found.together[kind + name] == pytest.approx(value(distances), rel=1e-4)  # three times the same
    assert float(found.errors["median"][0]) > 0.05
    again = average_errors(MODEL, scans, found.photos)
    assert again.keys() == found.errors.keys()
    assert all(torch.equal(again[name], value) for name, value in found.errors.items())


def test_a_box_that_is_a_pickle_is_noted_once(folder):
    found = find_scans(folder)
    box = folder / "box.npy"
    np.save(box, {"left": 1}, allow_pickle=True)
    boxed = [type(photo)(photo.path, photo.person, photo.group, box) for photo in found.photos]
    scans = read_scans(type(found)(found.people, boxed, []), "mm", MODEL)
    measured = measure_scans(lambda photo, box: face_mesh(MODEL, MODEL.mean_shape), scans)
    [note] = measured.notes
    assert note.startswith("4 boxes were not used, faces were detected instead: ")  # also on the one without a face
    assert "a pickled file can run any program" in note


def test_systems_have_a_row_each(folder):
    scans = read_scans(find_scans(folder), "mm", MODEL)
    decode = Decoder(MODEL, Camera())

    def missing():
        raise InputError("there is no checkpoint")

    starts = {
        "true": lambda: lambda batch: true_code(),
        "average": lambda: lambda batch: SemanticCode.zeros(len(batch["image"]), MODEL.sizes),
        "broken": missing,
    }
    true, average, broken = compare_scans(starts, decode, scans, landmarks=False)
    assert set(COLUMNS) <= set(true.values)
    assert (true.system, true.images, broken.reason) == ("true", 3, "there is no checkpoint")
    assert true.values["median"] < 0.001 < 0.05 < average.values["median"] <= average.values["own size, median"] + 0.05


def test_system_that_never_answers(folder):
    scans = read_scans(find_scans(folder), "mm", MODEL)

    def fails(photo, box):
        raise InputError("too dark")

    with pytest.raises(ValueError, match="no photograph could be compared with its scan: too dark"):
        measure_scans(fails, scans)


def test_no_scan_can_be_used(folder):
    for person in ("anna", "bea"):
        (folder / person / "scan.ply").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no scan can be used: anna: the scan .* cannot be read"):
        read_scans(find_scans(folder), "mm", MODEL)


def test_scan_without_landmarks(tmp_path, portrait):
    """Without landmarks, the average face is laid over the scan by its shape."""
    face = make_face(step=3.0)
    shift = np.array([3.0, 40, -80])
    scan = FaceMesh(face.vertices + shift, face.faces, face.landmarks + shift)
    write_person(tmp_path / "anna", scan, landmarks=False)
    shutil.copyfile(portrait, tmp_path / "anna" / "1.jpg")
    scans = read_scans(find_scans(tmp_path), "mm", MODEL)
    assert np.linalg.norm(scans.scans["anna"].landmarks - scan.landmarks, axis=1).mean() < 25  # without a nose to go by
    grown = face.vertices + vertex_normals(face.vertices, face.faces)
    found = measure_scans(lambda photo, box: FaceMesh(grown, face.faces, face.landmarks), scans)
    assert 0.02 < float(found.errors["mean"]) < 0.3
