"""The measures of skin: of numbers that are known, and of a corpus."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_corpus import make_dense_corpus
from programs import load

from mofa3d.data.corpus import dataset
from mofa3d.semantic_code import SemanticCode

check_skin = load("check_skin")


def test_intraclass_correlation():
    random = np.random.default_rng(0)
    people = np.repeat(random.normal(0, 2.0, 400), 3)
    groups = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(400)]
    assert check_skin.intraclass_correlation(people + random.normal(0, 1.0, 1200), groups) == pytest.approx(
        0.8, abs=0.03
    )
    assert check_skin.intraclass_correlation(random.normal(0, 1.0, 1200), groups) == pytest.approx(0, abs=0.05)
    # Shrout and Fleiss 1979, Table 2: ICC(1) of four raters is 0.17.
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    groups = [[4 * i + k for k in range(4)] for i in range(6)]
    assert check_skin.intraclass_correlation(np.ravel(table).astype(float), groups) == pytest.approx(0.17, abs=0.005)


def test_area_under_the_curve():
    values = np.array([1.0, 2.0, 3.0, 2.0])
    higher, lower = np.array([False, False, True, True]), np.array([True, True, False, False])
    assert check_skin.auc(values, higher, lower) == pytest.approx((4 - 0.5) / 4)


def test_people_in_one_light_do_not_count():
    assert check_skin.several(["a", "b", "a", "c", "c"], [False, False, False, True, True]) == [[0, 2]]


def test_a_corpus_is_measured(tmp_path, default_model, capsys, monkeypatch):
    monkeypatch.setattr(dataset, "held_out", lambda identities, fraction, seed: [True] * len(identities))
    names = ["Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg", "Bob_Roe_0001.jpg", "Bob_Roe_0002.jpg"]
    names += ["30_0_1_2017.jpg", "30_1_0_2018.jpg"]
    codes = SemanticCode.zeros(6, default_model.sizes)
    make_dense_corpus(tmp_path / "corpus", default_model, names, codes.replace(illumination=0.1 * torch.ones(6, 9, 3)))
    check_skin.main(check_skin.Config(tmp_path / "corpus"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 photographs, 2 people with several, 1 Black, 1 White"
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert {"encoder", "with colors fitted", "photograph"} <= set(rows)
    photograph = [cell.strip() for cell in rows["photograph"].split("|")]
    assert abs(float(photograph[3]) - float(photograph[4])) < 1  # the same skin in the same light
