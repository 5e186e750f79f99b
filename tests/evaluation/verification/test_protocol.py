"""The ten-fold protocol, worked out by hand, and what it must not look at."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mofa3d.evaluation.verification.pairs import Pair
from mofa3d.evaluation.verification.protocol import Verification, best_threshold, cosine, fit_whitening, verify
from mofa3d.evaluation.verification.report import table, write_report

DIRECTIONS = {"e": 0, "n": 90, "w": 180, "s": 270}


def circle(places: dict[str, float]) -> tuple[np.ndarray, dict[str, int]]:
    """Codes on the unit circle at angles in degrees, and their rows."""
    angles = np.radians(list(places.values()))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), {name: row for row, name in enumerate(places)}


def two_folds(lean: float) -> tuple[np.ndarray, dict[str, int], list[Pair]]:
    """Eight photographs per fold, two in each direction, so that whitening changes no angle.

    In fold 1 two codes lean by some degrees, one towards a photograph of the same person, one towards a stranger's.
    """
    places = {f"{fold}{way}{i}": float(angle) for fold in "01" for way, angle in DIRECTIONS.items() for i in "ab"}
    places["1wa"] -= lean  # towards north
    places["1wb"] += lean  # towards south
    pairs = [
        Pair("0ea", "0eb", True, 0), Pair("0wa", "0wb", True, 0),  # similarity 1, 1
        Pair("0na", "0sa", False, 0), Pair("0sb", "0nb", False, 0),  # -1, -1
        Pair("1ea", "1eb", True, 1), Pair("1wa", "1na", True, 1),  # 1, a little above 0
        Pair("1nb", "1sa", False, 1), Pair("1wb", "1sb", False, 1),  # -1, a little above 0
    ]  # fmt: skip
    return *circle(places), pairs


def test_accuracy_by_hand():
    found = verify(*two_folds(lean=5))
    # Fold 1's threshold is 0, half-way between fold 0's -1 and 1: of its pairs, the leaning stranger is taken for the
    # same person. Fold 0's pairs are far from any threshold.
    assert found.accuracies.tolist() == [1.0, 0.75]
    assert found.thresholds[1] == pytest.approx(0, abs=1e-9)
    assert found.accuracy == 0.875
    assert found.standard_error == pytest.approx(0.125)  # √(2 · 0.125²) / √2
    np.testing.assert_allclose(found.similarity[:4], [1, 1, -1, -1], atol=0.02)
    np.testing.assert_allclose(found.similarity[[5, 7]], np.sin(np.radians(5)), atol=1e-2)


def test_threshold_and_whitening_come_from_the_other_folds():
    codes, rows, pairs = two_folds(lean=5)
    before = verify(codes, rows, pairs)
    codes = codes.copy()
    codes[0] = 0.5, 3.0  # of fold 0
    after = verify(codes, rows, pairs)
    assert after.thresholds[0] == before.thresholds[0]
    assert after.thresholds[1] != pytest.approx(before.thresholds[1])


def test_people_are_told_apart_below_noise_that_whitening_removes():
    random = np.random.default_rng(0)
    people = random.normal(size=(100, 12))
    codes = np.concatenate([people, people]) + 0.3 * random.normal(size=(200, 12))
    codes[:, 0] = 100 * random.normal(size=200)  # says nothing, and is all that a plain cosine sees
    pairs = []
    for i in range(100):
        pairs.append(Pair(str(i), str(100 + i), True, i % 10))
        pairs.append(Pair(str(i), str(100 + (i + 10) % 100), False, i % 10))
    rows = {str(i): i for i in range(200)}
    found = verify(codes, rows, pairs)
    assert found.accuracy > 0.88
    assert found.area > 0.95
    plain = cosine(codes[:100], codes[100:]), cosine(codes[:100], np.roll(codes[100:], -10, axis=0))
    same = np.repeat([True, False], 100)
    expected = Verification(np.zeros(1), np.zeros(1), np.concatenate(plain), same).area
    assert expected < 0.65
    assert verify(codes, rows, pairs, whiten=False).area == pytest.approx(expected)


def test_codes_that_are_all_the_same_are_at_chance():
    _, rows, pairs = two_folds(5)
    found = verify(np.zeros((16, 3)), rows, pairs)
    assert found.accuracies.tolist() == [0.5, 0.5]
    assert found.area == 0.5


def test_whitened_codes_have_unit_covariance():
    codes = np.random.default_rng(0).normal(size=(500, 3)) @ [[2, 1, 0], [0, 0.5, 0], [0, 0, 1]] + [1, 2, 3]
    white = fit_whitening(codes)(codes)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(white, rowvar=False, bias=True), np.eye(3), atol=0.02)


def test_directions_without_variance_stay_small():
    codes = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 1e-9]
    spread = fit_whitening(codes)(codes).std(axis=0)
    assert sorted(spread) == pytest.approx([0, 1, 1], abs=0.01)


@pytest.mark.parametrize(
    ("similarity", "same", "threshold"),
    [
        ([0.9, 0.7, 0.3, 0.1], [True, True, False, False], 0.5),
        ([0.9, 0.2, 0.3, 0.1], [True, True, False, False], 0.6),  # three are right at 0.15 and at 0.6
        ([0.9, 0.8, 0.3, 0.2, 0.1], [True, False, True, False, False], 0.85),  # as many at 0.25
        ([0.8, 0.6], [False, False], 0.800001),  # nobody is the same
    ],
)
def test_threshold(similarity, same, threshold):
    assert best_threshold(np.array(similarity), np.array(same)) == pytest.approx(threshold, abs=1e-9)


def test_area_counts_ties_half():
    similarity, same = np.array([1, 0.5, 0.5, 0]), np.array([True, True, False, False])
    found = Verification(np.ones(2), np.zeros(2), similarity, same)
    assert found.area == pytest.approx(3.5 / 4)
    false, true = found.curve()
    assert list(zip(false, true, strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


def test_report(tmp_path):
    found = Verification(np.array([0.5, 0.7]), np.zeros(2), np.array([1.0, 0.5, 0.5, 0]), np.array([1, 1, 0, 0]) > 0)
    assert table({"shape": found}).splitlines()[2] == "| shape | 60.00 ± 10.00 | 0.8750 |"
    path = write_report(tmp_path, {"pairs": "four"}, {"shape": found}, {"photographs": 8})
    assert "- pairs: four\n" in path.read_text(encoding="utf-8")
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["photographs"] == 8
    assert content["results"]["shape"]["folds"] == [0.5, 0.7]
    assert content["results"]["shape"]["accuracy"] == pytest.approx(0.6)
    assert (tmp_path / "roc.png").stat().st_size > 5000
