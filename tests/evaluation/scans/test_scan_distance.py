"""Distances between known surfaces: what alignment removes is 0, what it cannot remove has its size in millimetres."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scanned_faces import make_face
from scipy.spatial.transform import Rotation

from mofa3d.evaluation.scans.distance import ANY, align_surfaces, scan_distances
from mofa3d.evaluation.scans.scan import FaceMesh, complete, region
from mofa3d.models.alignment import Similarity, similarity
from mofa3d.models.nearest_surface import nearest_surface, vertex_normals

TURN = Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()


def moved(face: FaceMesh, scale: float = 1.0, turn: np.ndarray = TURN, shift=(30.0, -700.0, 50.0)) -> FaceMesh:
    by = Similarity(scale, turn, np.array(shift))
    return FaceMesh(by(face.vertices), face.faces, by(face.landmarks))


class TestAlignedCopies:
    @pytest.mark.parametrize("scale", [0.5, 1.0, 1.4])
    def test_scaled_and_turned_copy_is_no_error(self, scale):
        face = make_face()
        assert scan_distances(face, moved(face, scale)).max() < 1e-6

    def test_size_counts_when_it_is_kept(self):
        face = make_face()
        assert scan_distances(face, moved(face), rigid=True).max() < 1e-6
        larger = scan_distances(face, moved(face, 1.1), rigid=True)
        # A surface 10 % larger, moved where it fits best: it touches in the middle and is away at the sides.
        assert 0.3 < np.median(larger) < 4
        assert larger.mean() > 20 * scan_distances(face, moved(face, 1.1)).mean()

    def test_wrong_landmarks_are_only_a_start(self):
        face = make_face()
        noise = np.random.default_rng(1).normal(scale=4.0, size=(7, 3))
        start = FaceMesh(face.vertices, face.faces, face.landmarks + noise)
        laid = similarity(start.landmarks, face.landmarks, ANY)
        before = nearest_surface(region(face), laid(start.vertices), face.faces).distances
        assert np.median(before) > 0.5
        assert scan_distances(face, moved(start, 0.9)).max() < 0.02

    def test_mirrored_face_is_not_mirrored_back(self):
        face = make_face()
        crooked = face.vertices + np.array([[8.0, 0, 0]]) * np.exp(-(((face.vertices[:, 1:2] + 45) / 15) ** 2))
        scan = FaceMesh(crooked, face.faces, face.landmarks)
        mirror = np.array([-1.0, 1, 1])
        other = FaceMesh(crooked * mirror, face.faces[:, ::-1].copy(), (face.landmarks * mirror)[[3, 2, 1, 0, 4, 6, 5]])
        assert scan_distances(scan, other).mean() > 0.2


class TestKnownErrors:
    def test_dent_has_its_depth(self):
        scan = make_face(step=2.0)
        dent = 3.0 * np.exp(-np.square((scan.vertices[:, :2] - [40, -15]) / 10).sum(axis=1))
        dented = scan.vertices - [[0, 0, 1]] * dent[:, None]
        distances = scan_distances(scan, moved(FaceMesh(dented, scan.faces, scan.landmarks), 1.2))
        assert 2.0 < distances.max() < 3.0  # along the normal it is less than along z
        assert np.median(distances) < 0.1

    def test_normal_offset_of_a_millimetre(self):
        # Alternating patches cannot be aligned away, nor can they be scaled away.
        scan = make_face(step=2.0)
        patches = np.sign(np.sin(scan.vertices[:, 0] / 8) * np.sin(scan.vertices[:, 1] / 8))
        normals = vertex_normals(scan.vertices, scan.faces)
        face = FaceMesh(scan.vertices + patches[:, None] * normals, scan.faces, scan.landmarks)
        for rigid in (False, True):
            distances = scan_distances(scan, moved(face), rigid)
            assert np.median(distances) == pytest.approx(1.0, abs=0.15)

    def test_uniform_offset_is_mostly_aligned_away(self):
        scan = make_face(step=2.0)
        grown = FaceMesh(scan.vertices + vertex_normals(scan.vertices, scan.faces), scan.faces, scan.landmarks)
        still = nearest_surface(region(scan), grown.vertices, grown.faces).distances
        assert np.median(still) == pytest.approx(1.0, abs=0.02)
        kept, scaled = scan_distances(scan, moved(grown), rigid=True), scan_distances(scan, moved(grown))
        assert 0.05 < kept.mean() < 0.3
        assert scaled.mean() < 0.8 * kept.mean()

    def test_distance_is_to_the_surface_and_not_to_its_vertices(self):
        plane = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 200
        faces = np.array([[0, 1, 2], [0, 2, 3]])
        points = np.random.default_rng(0).uniform(-60, 60, (500, 3)) * [1, 1, 0] + [0, 0, 1]
        found = nearest_surface(points, plane, faces).distances
        np.testing.assert_allclose(found, 1.0)


class TestRealScans:
    def test_noisy_cropped_and_otherwise_triangulated(self):
        random = np.random.default_rng(3)
        clean = make_face(step=2.0, seed=4, radius=(60, 85))  # what a scanner saw
        noise = 0.3 * random.normal(size=len(clean.vertices))
        normals = vertex_normals(clean.vertices, clean.faces)
        landmarks = clean.landmarks + random.normal(size=(7, 3))
        scan = FaceMesh(clean.vertices + noise[:, None] * normals, clean.faces, landmarks)
        face = moved(make_face(step=2.5), 0.95)
        distances = scan_distances(scan, face)
        # The mean of |N(0, 0.3²)| is 0.24; triangles cut corners where the surface is curved.
        assert distances.mean() == pytest.approx(0.24, abs=0.08)
        assert np.median(distances) == pytest.approx(0.2, abs=0.07)

    def test_few_points_of_a_scan_align_it(self):
        scan = make_face(step=3.0)
        face, noise = moved(scan), np.random.default_rng(2).normal(size=(7, 3))
        start = similarity(face.landmarks + noise, scan.landmarks, ANY)
        sparse = align_surfaces(region(scan)[::7], face, start, rigid=False)
        np.testing.assert_allclose(sparse(face.vertices), scan.vertices, atol=0.01)

    def test_nearest_points_are_those_of_an_exhaustive_search(self):
        face, points = make_face(step=5.0), make_face(step=9.0, seed=8).vertices + np.array([0, 0, 2.0])
        mesh = trimesh.Trimesh(face.vertices, face.faces, process=False)
        _, exact, _ = trimesh.proximity.closest_point_naive(mesh, points)
        np.testing.assert_allclose(nearest_surface(points, face.vertices, face.faces).distances, exact, atol=1e-6)


class TestRegion:
    def test_is_the_ball_of_the_now_challenge(self):
        scan = make_face()
        bridge, base = scan.landmarks[[1, 2]].mean(axis=0), scan.landmarks[4]
        centre = base + 0.3 * (bridge - base)
        radius = 1.4 * (90 + np.linalg.norm(bridge - base)) / 2
        assert 85 < radius < 110
        inside = region(scan)
        assert np.linalg.norm(inside - centre, axis=1).max() <= radius
        assert len(inside) == (np.linalg.norm(scan.vertices - centre, axis=1) <= radius).sum() < len(scan.vertices)

    def test_reconstruction_in_micrometres(self):
        face = make_face()
        scan = FaceMesh(face.vertices, face.faces, face.landmarks)
        with pytest.raises(ValueError, match=r"is .*e\+05 mm long, more than 3000; give millimetres"):
            scan_distances(scan, moved(face, 1000.0), rigid=True)

    def test_landmarks_of_another_system_of_coordinates(self):
        scan = make_face()
        with pytest.raises(ValueError, match=r"only 0 vertices of the scan lie within .* mm of the face's centre"):
            region(FaceMesh(scan.vertices + 1000, scan.faces, scan.landmarks))


class TestCompleting:
    def test_gaps_are_filled_from_the_average_face(self):
        scan, average = make_face(), moved(make_face(), 0.97)
        points = scan.landmarks.copy()
        points[[0, 5]] = np.nan
        np.testing.assert_allclose(complete(points, scan.vertices, scan.faces, average), scan.landmarks, atol=1e-6)

    def test_without_any_the_surfaces_are_laid_on_each_other(self):
        scan = moved(make_face(step=2.5, seed=1), 1.0, Rotation.from_rotvec([0.1, 0.15, 0]).as_matrix(), (4, 250, -90))
        found = complete(np.full((7, 3), np.nan), scan.vertices, scan.faces, make_face())
        assert np.linalg.norm(found - scan.landmarks, axis=1).max() < 6
        assert scan_distances(FaceMesh(scan.vertices, scan.faces, found), moved(make_face(), 0.9)).mean() < 0.2
