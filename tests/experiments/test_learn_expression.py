"""Statistics of scores are symmetric, start at rest, and leave outliers out."""

from __future__ import annotations

import numpy as np
import pytest
from programs import load

from mofa3d.data.face_landmarker import EXPRESSION_NAMES

program = load("learn_expression")


@pytest.fixture
def scores() -> np.ndarray:
    random = np.random.default_rng(0)
    found = np.zeros((1000, 52))
    column = {name: number for number, name in enumerate(EXPRESSION_NAMES)}
    found[:, column["neutral"]] = 1.0
    found[:, column["mouthSmileLeft"]] = random.uniform(0, 0.8, 1000)
    found[:, column["eyeSquintLeft"]] = 0.3 + random.uniform(0, 0.2, 1000)  # the network's idea of rest
    found[:, column["eyeLookInLeft"]] = random.uniform(0, 0.6, 1000)
    found[:5, column["jawRight"]] = 1.0  # some other thing
    return found


def test_sides_rest_gaze_and_outliers(scores):
    found = program.learn(scores, "made up")
    mean = dict(zip(found.names, found.mean, strict=True))
    assert "neutral" not in mean
    assert mean["mouthSmileLeft"] == pytest.approx(mean["mouthSmileRight"])
    assert mean["mouthSmileLeft"] == pytest.approx((0.4 - 0.08) / 2, abs=0.02)
    assert mean["eyeSquintLeft"] == pytest.approx(0.08 / 2, abs=0.01)
    assert mean["eyeLookInLeft"] == pytest.approx(mean["eyeLookOutRight"])
    assert mean["jawRight"] == 0
    assert found.photographs == 980
    assert np.linalg.eigvalsh(found.covariance).min() > -1e-9


def test_mirrored_names():
    assert [program.mirrored(name) for name in ("mouthLeft", "eyeLookInRight", "jawOpen")] == [
        "mouthRight", "eyeLookInLeft", "jawOpen"
    ]  # fmt: skip
