"""FAN with random weights of the right shape: its own weights cannot be had here, so peaks are planted instead."""

from __future__ import annotations

import importlib.util
import sys
import threading

import numpy as np
import pytest
import torch

from mofa3d.data import fan_landmarks
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.fan_landmarks import decode, detect_landmarks
from mofa3d.data.haar import of_haar_box

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
BOX = of_haar_box(210.0, 140.0, 120.0, 1.0)
INSTALLED = importlib.util.find_spec("face_alignment") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="face-alignment is not installed: pip install -e '.[fan]'")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(fan_landmarks, "_loaded", threading.local())


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from face_alignment.models import FAN

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("fan") / "2DFAN4-random.pth.tar"
    torch.save(FAN(4).state_dict(), path)
    return path


def gauss(x: float, y: float, height: float = 1.0) -> np.ndarray:
    """A heatmap of 64 cells with a peak at a place in cells."""
    row, column = np.mgrid[0:64, 0:64] + 0.5
    return (height * np.exp(-((column - x) ** 2 + (row - y) ** 2) / 2)).astype(np.float32)


class TestDecode:
    def test_peaks_in_pixels_of_the_photograph(self):
        random = np.random.default_rng(1)
        places = random.uniform(3, 61, (68, 2))
        heatmaps = np.stack([gauss(x, y) for x, y in places])
        transform = CropTransform(left=-30.0, top=12.0, scale=0.8)
        points, confidence = decode(heatmaps, transform)
        expected = places * 4 / 0.8 + [-30, 12]
        assert np.abs(points - expected).max() <= 0.25 * 4 / 0.8 + 1e-4  # a quarter of a cell
        assert (confidence > 0.75).all()

    def test_height_is_the_confidence(self):
        heights = np.linspace(-0.5, 1.5, 68)
        heatmaps = np.stack([gauss(20.5, 30.5, height) for height in heights])
        confidence = decode(heatmaps, CropTransform(0.0, 0.0, 1.0))[1]
        np.testing.assert_allclose(confidence, heights.clip(0, 1), atol=1e-6)

    def test_peaks_at_the_border_stay(self):
        heatmaps = np.stack([gauss(0.5, 63.5)] * 68)
        np.testing.assert_allclose(decode(heatmaps, CropTransform(0.0, 0.0, 1.0))[0][0], [2, 254])


@needs_package
class TestNetwork:
    def test_random_weights_give_points_in_the_window(self, weights):
        points, confidence, agreement = detect_landmarks(PHOTO, BOX, str(weights))
        assert points.shape == (68, 2)
        assert (np.abs(points - [210, 134]) <= 117.1).all()  # half of 1.95 boxes
        assert ((confidence >= 0) & (confidence <= 1)).all()
        assert agreement is None

    def test_window_is_where_the_network_looks(self, weights, monkeypatch):
        seen = []

        def spy(image):
            seen.append(image)
            return [torch.from_numpy(np.stack([gauss(32, 32)] * 68))[None]]

        monkeypatch.setattr(fan_landmarks, "_load", lambda _: spy)
        points, _, _ = detect_landmarks(PHOTO, BOX, str(weights))
        assert seen[0].shape == (1, 3, 256, 256)
        # The middle of the window, to the quarter of a cell that the peak's neighbours decide.
        assert np.abs(points - [210, 134]).max() < 0.75 * 4 * 234 / 256

    def test_file_is_read_once(self, weights):
        assert fan_landmarks._load(str(weights)) is fan_landmarks._load(str(weights))

    @pytest.mark.parametrize("content", [{"conv1.weight": torch.zeros(3)}, [1, 2]])
    def test_other_weights(self, tmp_path, content):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(ValueError, match=r"other\.pth are not the weights of FAN with 4 hourglasses"):
            detect_landmarks(PHOTO, BOX, str(tmp_path / "other.pth"))

    def test_missing_file(self):
        with pytest.raises(ValueError, match=r"there is no nowhere\.pth; give FAN's weights .* as --fan-weights"):
            detect_landmarks(PHOTO, BOX, "nowhere.pth")


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    monkeypatch.setitem(sys.modules, "face_alignment.models", None)
    with pytest.raises(ValueError, match=r"face-alignment; install it with: pip install mofa3d\[fan\]"):
        detect_landmarks(PHOTO, BOX, "any.pth")


def test_settings_ask_for_the_file():
    with pytest.raises(ValueError, match="needs a weights file as --fan-weights, got ''"):
        PrepareConfig(landmarks="face_alignment")
