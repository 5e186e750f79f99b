"""Tables of what trainings reached, from their reports."""

from __future__ import annotations

import json

import pytest

from mofa3d.evaluation.comparison.program_runs import Outcome
from mofa3d.evaluation.comparison.training_tables import before_and_after, training_rows

MEANS = {"images": 7, "yaw": 3.0, "photometric": 0.3, "landmark": None, "area": 0.9, "geometric": 6.5}


@pytest.fixture
def run(tmp_path):
    """A run's folder with a report."""
    content = {
        "training": {"iterations": 120, "batch": 8, "minutes": 1.5},
        "before": {"all": MEANS},
        "after": {"all": {**MEANS, "photometric": 0.1}, "frontal": {}},
    }
    (tmp_path / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_iterations_and_minutes(run):
    outcomes = {
        "MoFA": Outcome(run, "command"),
        "reused": Outcome(run / "checkpoint.pt", "command"),
        "failed": Outcome(run, "command", "the loss is not finite"),
        "bare": Outcome(run / "elsewhere" / "checkpoint.pt", "command"),
    }
    rows = training_rows(outcomes)
    for row in rows[:2]:
        assert row.values == {"iterations": 120, "batch": 8, "minutes": 1.5}
        assert row.images == 960
    assert rows[2].reason == "the loss is not finite"
    assert rows[3].reason.startswith("its training left no report of it")


@pytest.mark.parametrize("content", [{"facts": {"training": "120 iterations of 8 in 1.5 min"}}, {"training": "long"}])
def test_a_report_without_numbers_is_not_guessed_from_its_sentences(run, content):
    (run / "report.json").write_text(json.dumps(content), encoding="utf-8")
    [row] = training_rows({"MoFA": Outcome(run, "command")})
    assert row.values == {}
    assert row.reason.startswith("its training left no report of it")


def test_before_and_after(run):
    before, after = before_and_after("average face", "MoFA", Outcome(run, "command"))
    assert (before.system, before.images, before.values["photometric"]) == ("average face", 7, 0.3)
    assert (after.system, after.images, after.values["photometric"]) == ("MoFA", 7, 0.1)
    assert after.values["geometric"] == 6.5
    assert after.values["landmark"] != after.values["landmark"]
    assert set(after.values) == {"geometric", "photometric", "landmark", "area"}
