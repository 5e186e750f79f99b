"""The shipped networks give in OpenCV what Google's interpreter (LiteRT 2.3.0) gives for the same numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mofa3d.data import networks
from mofa3d.data.photo import read_photo


def test_face_landmarks(portrait):
    face = read_photo(portrait)[70:390, 110:430]
    picture = cv2.resize(face, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    network = networks.tflite(networks.FACE_LANDMARKS)
    network.setInput(cv2.dnn.blobFromImage(picture))
    points, presence = network.forward(["Identity", "Identity_1"])
    expected = [125.55435, 162.16519, -18.22065, 124.78451, 141.01823, -35.853386]
    np.testing.assert_allclose(points.ravel()[:6], expected, atol=2e-3)
    assert presence.item() == pytest.approx(18.118027, abs=1e-3)


def test_face_blendshapes():
    network = networks.tflite(networks.FACE_BLENDSHAPES)
    network.setInput(np.random.default_rng(0).uniform(0, 256, (1, 146, 2)).astype(np.float32))
    expected = [3.7123341e-04, 4.1258330e-03, 1.0860069e-02, 6.5815210e-01, 1.9144374e-01, 9.7563550e-02]
    np.testing.assert_allclose(network.forward().ravel()[:6], expected, atol=1e-5)


def test_each_thread_keeps_its_own_and_what_was_not_wanted_for_longest_goes(monkeypatch):
    made = []

    def make() -> object:
        made.append(object())
        return made[-1]

    monkeypatch.setattr(networks, "_of_thread", type("Empty", (), {})())
    first = networks.kept("a", make, most=2)
    assert networks.kept("a", make, most=2) is first
    second = networks.kept("b", make, most=2)
    assert networks.kept("a", make, most=2) is first
    networks.kept("c", make, most=2)
    assert networks.kept("a", make, most=2) is first
    assert networks.kept("b", make, most=2) is not second
    assert len(made) == 4
