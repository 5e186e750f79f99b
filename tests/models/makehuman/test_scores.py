"""Statistics of expressions: what photographs say, what is added, the modes they make, and their file."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.models.makehuman.expression import expression_modes, moved
from mofa3d.models.makehuman.scores import ALONE, LEAST, OTHERS, SELDOM, Scores, read_scores, save_scores

NAMES = ("mouthSmileLeft", "mouthSmileRight", "mouthClose", "jawOpen")


@pytest.fixture
def scores() -> Scores:
    covariance = np.array([[0.09, 0.08, 0, 0], [0.08, 0.09, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.04]])
    return Scores(NAMES, np.array([0.3, 0.3, 0.0, 0.1]), covariance, 100, "photographs")


def test_what_photographs_lack_is_added(scores):
    found = scores.covariance_of(["mouthSmileLeft", "mouthSmileRight", "jawOpen", "mouthClose", "tongueOut", "mouth-x"])
    frequent, unseen = found[:2, :2], np.diag(found)[4:]
    np.testing.assert_allclose(frequent, [[0.09 + ALONE**2, 0.08], [0.08, 0.09 + ALONE**2]])
    np.testing.assert_allclose(unseen, [LEAST**2, OTHERS**2])
    # Lips close over an open jaw, and never alone.
    np.testing.assert_allclose(found[2:4, 2:4], [[0.04 + ALONE**2 + SELDOM**2, SELDOM**2], [SELDOM**2, SELDOM**2]])
    assert np.linalg.eigvalsh(found).min() > -1e-12


def test_file_keeps_them(scores, tmp_path):
    save_scores(scores, tmp_path / "scores.json")
    again = read_scores(tmp_path / "scores.json")
    assert (again.names, again.photographs, again.source) == (NAMES, 100, "photographs")
    np.testing.assert_allclose(again.mean, scores.mean)
    np.testing.assert_allclose(again.covariance, scores.covariance)


@pytest.mark.parametrize("text", ["", "{}", '{"names": ["a"], "mean": [1, 2], "covariance": [[1]]}', "[1]"])
def test_damaged_file_is_named(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(ValueError, match=r"scores\.json contains no valid statistics of expressions"):
        read_scores(tmp_path / "scores.json")


def test_shipped_statistics_are_those_of_many_faces_and_symmetric():
    found = read_scores()
    assert found.photographs > 5000
    assert len(found.names) == 51
    spread = dict(zip(found.names, np.sqrt(np.diag(found.covariance)), strict=True))
    assert spread["mouthSmileLeft"] > 0.3 > 0.15 > spread["jawOpen"] > 0.05
    assert spread["mouthSmileLeft"] == pytest.approx(spread["mouthSmileRight"], abs=1e-5)
    look = found.covariance[found.names.index("eyeLookInLeft"), found.names.index("eyeLookOutRight")]
    assert look == pytest.approx(spread["eyeLookInLeft"] ** 2, abs=1e-5)  # both eyes look the same way


class TestModes:
    def test_all_of_them_have_the_covariance_of_the_units(self):
        random = np.random.default_rng(0)
        movements, factor = random.normal(size=(5, 30, 3)), random.normal(size=(5, 5))
        mixing = expression_modes(movements, np.ones(30), factor @ factor.T, 5)
        np.testing.assert_allclose(mixing @ mixing.T, factor @ factor.T, atol=1e-9)
        modes = moved(movements, mixing).reshape(90, 5)
        strength = np.square(modes).sum(axis=0)
        assert (np.diff(strength) < 0).all()
        np.testing.assert_allclose(modes.T @ modes, np.diag(strength), atol=1e-9 * strength[0])

    def test_few_of_them_keep_what_counts(self):
        movements = np.zeros((2, 10, 3))
        movements[0, :5, 1], movements[1, 5:, 0] = 2.0, 3.0
        weights = np.repeat([1.0, 0.1], 5)
        mixing = expression_modes(movements, weights, np.eye(2), 1)
        np.testing.assert_allclose(np.abs(mixing[:, 0]), [1, 0], atol=1e-9)
