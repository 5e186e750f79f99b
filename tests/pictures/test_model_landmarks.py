"""Landmarks are found where a model's own are, on its surface, from pictures of its mean face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import load_model
from mofa3d.camera import Camera
from mofa3d.cli import main
from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.photo import read_photo
from mofa3d.models.landmark_depth import attach
from mofa3d.models.landmarks import with_landmarks
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel, read_model, save_model
from mofa3d.pictures import model_landmarks
from mofa3d.renderers import make_renderer

INNER = slice(17, 68)  # without the contour, which annotators put on the silhouette and not on the skin
ICT = Path(__file__).parents[3] / "shared" / "models" / "ict_face_kit"
CAMERA = Camera(360)


def positions(model: MorphableModel, landmarks: LandmarkBarycentric | None = None) -> np.ndarray:
    """(68, 3) mm on the mean face."""
    chosen = model if landmarks is None else with_landmarks(model, landmarks)
    return chosen.landmarks(model.mean_shape[None])[0].double().numpy()


def distances(model: MorphableModel, other: MorphableModel) -> np.ndarray:
    return np.linalg.norm(positions(model) - positions(other), axis=1)


def project(points: np.ndarray) -> np.ndarray:
    return CAMERA.project(torch.from_numpy(points)).numpy()


class TestAttaching:
    def test_own_points_come_back(self):
        model = make_tiny_model(rings=30)
        own = positions(model)
        found = attach(model, project(own), CAMERA, own)
        away = np.linalg.norm(positions(model, found) - own, axis=1)
        # The depth of the whole is taken from vertices around the nose, which here are 7 mm apart.
        assert away.mean() < 0.3
        assert away.max() < 1.5
        assert float(found.weights.min()) >= 0
        torch.testing.assert_close(found.weights.sum(dim=1), torch.ones(68))

    def test_average_face_elsewhere_in_depth_does_not_matter(self):
        model = make_tiny_model(rings=30)
        own = positions(model)
        near, far = (attach(model, project(own), CAMERA, own + np.array([0, 0, shift])) for shift in (0, 50))
        np.testing.assert_allclose(positions(model, far), positions(model, near), atol=1e-3)

    def test_points_beside_the_face_stay_about_as_deep_as_expected(self):
        model = make_tiny_model(rings=30)
        own = positions(model)
        # On the rim of the ellipsoid, a detector's points may lie beside the face.
        pixels, rim = project(own), own[:, 0] > 50
        assert rim.sum() >= 3
        pixels[rim, 0] += 6
        found = positions(model, attach(model, pixels, CAMERA, own))
        assert np.abs(found - own)[rim, 2].max() < 10
        assert np.abs(found - own)[~rim].max() < 1.5


class TestDetection:
    def test_mirror_image_has_mirrored_points(self, portrait):
        photo = read_photo(portrait)
        points = model_landmarks.detect_symmetrically(photo)
        mirrored = model_landmarks.detect_symmetrically(np.ascontiguousarray(photo[:, ::-1]))
        back = mirrored[list(MIRRORED_68)] * [-1, 1] + [photo.shape[1], 0]
        np.testing.assert_allclose(back, points, atol=1e-6)
        assert 200 < points[30, 0] < 330  # the tip of her nose

    def test_no_face(self):
        assert model_landmarks.detect_symmetrically(np.full((120, 120, 3), 200, np.uint8)) is None


class TestModels:
    def test_default_model(self, default_model):
        found = model_landmarks.with_fitted_landmarks(default_model, make_renderer("cpu"))
        away = distances(found, default_model)
        assert away[INNER].mean() < 2.5
        assert away.mean() < 3.6
        assert away[2:15].max() < 12
        assert away.max() < 25  # beside the ears, where the silhouette runs over the side of the head
        for name, tensor in default_model.state_dict().items():
            if not name.startswith("landmark"):
                assert torch.equal(found.state_dict()[name], tensor), name
        assert found.name == default_model.name

    @pytest.mark.slow
    @pytest.mark.skipif(not ICT.is_dir(), reason="there are no files of ICT-FaceKit in ../shared")
    def test_ict(self, default_model):
        """An independent check: other people put these landmarks on another mesh."""
        model = load_model("ict", path=ICT)
        found = model_landmarks.with_fitted_landmarks(model, make_renderer("cpu"))
        assert distances(found, model)[INNER].mean() < 3.0
        assert distances(found, model).mean() < 4.0

    def test_command(self, default_model, tmp_path, capsys):
        lost = with_landmarks(
            default_model,
            LandmarkBarycentric(torch.zeros(68, dtype=torch.long), torch.tensor([1.0, 0.0, 0.0]).expand(68, 3).clone()),
        )
        save_model(lost, tmp_path / "lost.safetensors")
        out = tmp_path / "found.safetensors"
        assert main.main(["model", "landmarks", str(tmp_path / "lost.safetensors"), "--out", str(out)]) == 0
        assert capsys.readouterr().out.startswith(f"{out} (")
        assert distances(read_model(out), default_model)[INNER].mean() < 2.5

    def test_model_that_is_no_face(self, tmp_path, capsys):
        save_model(make_tiny_model(), tmp_path / "tiny.safetensors")
        out = tmp_path / "out.safetensors"
        assert main.main(["model", "landmarks", str(tmp_path / "tiny.safetensors"), "--out", str(out)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("error: no face was detected in renderings of the mean face of 'tiny'; look at it with")
        assert not out.exists()
