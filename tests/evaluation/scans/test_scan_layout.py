"""Folders of scans: the simple layout and NoW's, and what they lack; boxes are numbers or are not opened."""

from __future__ import annotations

import pickle
import shutil

import cv2
import numpy as np
import pytest
from scanned_faces import make_face, picked_points, write_person

from mofa3d.data.detect import detect_faces
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import read_photo
from mofa3d.evaluation.scans.face_boxes import choose_face, read_box
from mofa3d.evaluation.scans.folder import find_scans
from mofa3d.evaluation.scans.scan import FaceMesh, read_scan

FACE = make_face(step=6.0)


class TestSimpleLayout:
    def test_people_photographs_and_groups(self, tmp_path):
        write_person(tmp_path / "anna", FACE)
        write_person(tmp_path / "bea", FACE, ".obj", landmarks=False)
        write_person(tmp_path / "cem", FACE, ".stl")
        (tmp_path / "dan").mkdir()
        for name in ("anna/2.jpg", "anna/1.png", "anna/outdoors/3.jpg", "bea/1.jpg", "bea/scan.png", "dan/1.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = find_scans(tmp_path)
        assert [(item.path.relative_to(tmp_path).as_posix(), item.person, item.group) for item in found.photos] == [
            ("anna/1.png", "anna", ""),
            ("anna/2.jpg", "anna", ""),
            ("anna/outdoors/3.jpg", "anna", "outdoors"),
            ("bea/1.jpg", "bea", ""),  # scan.png is the scan's texture
        ]
        assert found.people["anna"].landmarks == tmp_path / "anna" / "landmarks.txt"
        assert found.people["bea"].landmarks is None
        assert found.people["bea"].mesh.name == "scan.obj"
        assert [failure.photo for failure in found.failures] == ["cem", "dan"]
        assert "contains no photographs" in found.failures[0].reason
        assert found.failures[1].reason == "it holds no scan.obj|.ply|.stl"

    def test_nothing_there(self, tmp_path):
        with pytest.raises(ValueError, match=r"there is no folder .*nowhere; expected a folder for each person"):
            find_scans(tmp_path / "nowhere")
        (tmp_path / "dan").mkdir()
        with pytest.raises(ValueError, match=r"contains no scan with a photograph; dan: it holds no scan"):
            find_scans(tmp_path)


@pytest.fixture
def now(tmp_path):
    """NoW's folder with two subjects, one of whom has no landmarks."""
    release = tmp_path / "final_release_version"
    for subject in ("FaMoS_1", "FaMoS_2"):
        scan = tmp_path / "scans" / subject
        write_person(scan, FACE, ".obj", landmarks=False)
        for challenge, image in (("selfie", "IMG_1.jpg"), ("multiview_neutral", "IMG_2.jpg")):
            photo = release / "iphone_pictures" / subject / challenge / image
            photo.parent.mkdir(parents=True)
            photo.touch()
    picked = tmp_path / "scans_lmks_onlypp" / "FaMoS_1" / "head_picked_points.pp"
    picked.parent.mkdir(parents=True)
    picked.write_text(picked_points(FACE.landmarks), encoding="utf-8")
    box = release / "detected_face" / "FaMoS_1" / "selfie" / "IMG_1.npy"
    box.parent.mkdir(parents=True)
    box.touch()
    return tmp_path


class TestNow:
    def test_listed_photographs(self, now):
        lines = "FaMoS_1/selfie/IMG_1.jpg\nFaMoS_2/selfie/IMG_1.jpg\n\nFaMoS_1/selfie/IMG_9.jpg\n"
        (now / "imagepathsvalidation.txt").write_text(lines)
        found = find_scans(now)
        [item] = found.photos
        assert (item.path.name, item.person, item.group) == ("IMG_1.jpg", "FaMoS_1", "selfie")
        assert item.box.name == "IMG_1.npy"
        assert [failure.photo for failure in found.failures] == ["FaMoS_2", "FaMoS_1/selfie/IMG_9.jpg"]
        assert "there is no scans_lmks_onlypp/FaMoS_2/*.pp" in found.failures[0].reason
        scan = read_scan(found.people["FaMoS_1"], "mm", FACE)
        np.testing.assert_allclose(scan.landmarks, FACE.landmarks, atol=1e-5)

    def test_all_photographs_without_the_list(self, now):
        found = find_scans(now)
        assert [item.group for item in found.photos] == ["multiview_neutral", "selfie"]
        assert found.photos[0].box is None

    def test_list_of_another_form(self, now):
        for line in ("IMG_1.jpg", "../../IMG_1.jpg"):
            (now / "imagepathsvalidation.txt").write_text(line)
            with pytest.raises(ValueError, match=r"expected SUBJECT/CHALLENGE/IMAGE\.jpg"):
                find_scans(now)


class TestBoxes:
    def test_four_numbers(self, tmp_path):
        np.save(tmp_path / "box.npy", np.array([10.0, 20, 50, 80]))
        assert read_box(tmp_path / "box.npy") == FoundFace.of_box(30.0, 50.0, 50.0, 1.0)

    def test_pickles_are_not_opened(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (tmp_path.joinpath("run").touch, ())

        np.save(tmp_path / "now.npy", {"left": 1, "top": 2, "right": 3, "bottom": 4}, allow_pickle=True)
        np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
        (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap()))
        for name in ("now", "trap", "bare"):
            with pytest.raises(ValueError, match=r"a pickled file can run any program; boxes are \.npy"):
                read_box(tmp_path / f"{name}.npy")
        assert not (tmp_path / "run").exists()

    def test_other_numbers(self, tmp_path):
        cases = (([1, 2, 3], "has shape"), ([5, 1, 2, 9], "expected left < right"), ([1, 2, 3, np.nan], "has shape"))
        for values, message in cases:
            np.save(tmp_path / "box.npy", np.array(values))
            with pytest.raises(ValueError, match=message):
                read_box(tmp_path / "box.npy")

    def test_box_chooses_among_faces(self, portrait):
        photo = read_photo(portrait)
        [face] = detect_faces(photo)[:1]
        two = np.concatenate([photo, photo], axis=1)
        right = FoundFace.of_box(face.x + photo.shape[1], face.y, face.size, 0.5)
        wide = FoundFace.of_box(right.x, right.y, 1.3 * right.size, 0.5)
        assert choose_face(two, wide).overlap(right) > 0.7
        assert choose_face(photo, None).overlap(face) > 0.99
        small = cv2.resize(photo, None, fx=0.12, fy=0.12, interpolation=cv2.INTER_AREA)
        scene = np.full((1000, 1600, 3), 128, dtype=np.uint8)
        scene[100 : 100 + photo.shape[0], 100 : 100 + photo.shape[1]] = photo
        scene[300 : 300 + small.shape[0], 1200 : 1200 + small.shape[1]] = small
        far = FoundFace.of_box(1200 + 0.12 * face.x, 300 + 0.12 * face.y, 0.12 * face.size, 0.5)
        assert choose_face(scene, far).overlap(far) > 0.7
        beside = FoundFace.of_box(40.0, 560.0, 60.0, 0.5)  # where there is no face to be found
        assert choose_face(photo, beside) == beside
        with pytest.raises(ValueError, match="no face was found"):
            choose_face(np.full((100, 100, 3), 128, np.uint8), None)


class TestReadingScans:
    @pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl"])
    @pytest.mark.parametrize(("unit", "size"), [("mm", 1.0), ("cm", 0.1), ("m", 0.001)])
    def test_units_and_formats(self, tmp_path, suffix, unit, size):
        write_person(tmp_path / "a", FaceMesh(FACE.vertices * size, FACE.faces, FACE.landmarks * size), suffix)
        (tmp_path / "a" / "1.jpg").touch()
        scan = read_scan(find_scans(tmp_path).people["a"], unit, FACE)
        np.testing.assert_allclose(scan.landmarks, FACE.landmarks, atol=2e-3)
        np.testing.assert_allclose(scan.vertices[scan.faces], FACE.vertices[FACE.faces], atol=2e-3)

    def files(self, tmp_path, name="a"):
        write_person(tmp_path / name, FACE)
        (tmp_path / name / "1.jpg").touch()
        return find_scans(tmp_path).people[name]

    def test_wrong_unit(self, tmp_path):
        with pytest.raises(ValueError, match=r"puts the outer corners of the eyes 900 mm apart if its unit is cm"):
            read_scan(self.files(tmp_path), "cm", FACE)

    def test_landmarks_in_another_order(self, tmp_path):
        files = self.files(tmp_path)
        lines = files.landmarks.read_text().splitlines()
        files.landmarks.write_text("\n".join(lines[row] for row in (0, 3, 2, 1, 4, 5, 6)))
        with pytest.raises(ValueError, match=r"outer corners of the eyes .* mm apart .*; check the order"):
            read_scan(files, "mm", FACE)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"ply\nformat ascii 1.0\nelement vertex 3\n", "cannot be read"),
            (b"\x80\x04garbage", "cannot be read"),
            (b"", "cannot be read"),
        ],
    )
    def test_damaged_meshes(self, tmp_path, content, reason):
        files = self.files(tmp_path)
        files.mesh.write_bytes(content)
        with pytest.raises(ValueError, match=f"scan.ply {reason}.*give a mesh of triangles as .obj, .ply, .stl"):
            read_scan(files, "mm", FACE)

    def test_points_without_triangles_and_vertices_without_place(self, tmp_path):
        files = self.files(tmp_path)
        lines = ["v 0 0 0", "v 200 0 0", "v 0 200 nan", "f 1 2 3"]
        for kept, reason in ((lines[:3], "cannot be read|no triangle"), (lines, "not finite")):
            path = files.mesh.with_suffix(".obj")
            path.write_text("\n".join(kept) + "\n")
            with pytest.raises(ValueError, match=reason):
                read_scan(type(files)(path, None), "mm", FACE)

    def test_vertices_of_no_triangle_do_not_count(self, tmp_path):
        files = self.files(tmp_path)
        far = FaceMesh(np.concatenate([FACE.vertices, [[1e5, 0, 0]]]), FACE.faces, FACE.landmarks)
        shutil.rmtree(tmp_path / "a")
        write_person(tmp_path / "a", far)
        assert len(read_scan(files, "mm", FACE).vertices) == len(np.unique(FACE.faces))
