"""Tables of an evaluation say what was measured, on how many photographs, and where there is nothing to say."""

from __future__ import annotations

import json

import pytest
import torch

from mofa3d.evaluation.group_errors import FEW, MEASURES, Group, Section, by_group, sections_report, statistics

NAN = float("nan")


def test_statistics_leave_out_what_is_not_known():
    values = torch.tensor([NAN, *range(11), float("inf")])
    assert statistics(values, ratio=False) == {"known": 11, "mean": 5.0, "p90": pytest.approx(9.0)}
    assert statistics(values, ratio=True) == {
        "known": 11,
        "mean": 5.0,
        "p10": pytest.approx(1.0),
        "p90": pytest.approx(9.0),
    }
    nothing = statistics(torch.tensor([NAN]), ratio=False)
    assert nothing["known"] == 0
    assert nothing["mean"] != nothing["mean"]


def errors(count: int) -> dict[str, torch.Tensor]:
    steps = torch.arange(count).float()
    return {
        "photometric": steps / 100,
        "landmark": torch.where(steps < 2, torch.nan, steps),
        "area": 1 + steps / 10,
        "yaw": steps,
        "landmark_yaw": -steps,
    }


def test_rows_are_groups():
    few, none = by_group(errors(4), {"some": [False, True, True, False], "none": [False] * 4})
    assert few.photographs == 2
    found = few.summary(MEASURES)
    assert found["photographs"] == 2
    assert found["landmark"] == {"known": 1, "mean": 2.0, "p90": 2.0}
    assert "geometric" not in found
    assert none.photographs == 0
    everyone = Group("all", errors(4)).summary(MEASURES)
    assert everyone["yaw correlation"] == pytest.approx(-1.0)


def test_table():
    rows = [
        Group("many", errors(FEW)),
        Group("few", {"photometric": torch.tensor([0.5]), "landmark": torch.tensor([NAN])}),
    ]
    lines = Section("Photographs", "How.", rows, MEASURES, ["Left out:\n one"]).markdown().splitlines()
    assert lines[0] == "## Photographs"
    assert lines[4] == "|  | photographs | photometric error | landmark error (px) | area ratio | yaw correlation |"
    assert lines[6] == "| many | 30 | 0.145 (0.261) | 15.50 (26.30) | 2.45 (1.29 to 3.61) | -1.00 |"
    assert lines[7] == "| few | 1 * | 0.500 (0.500) | – (–) | – | – |"
    assert lines[9].startswith(r"\* fewer than 30 photographs")
    assert lines[11] == "- Left out: one"
    assert "fewer" not in Section("A", "", rows[:1], MEASURES).markdown()


def test_files(tmp_path):
    section = Section("Photographs", "How.", [Group("all", {"landmark": torch.tensor([NAN])})], MEASURES, ["a note"])
    path = sections_report("Evaluation", {"commit": "1"}, [section]).write(tmp_path / "new")
    content = json.loads((tmp_path / "new" / "report.json").read_text())
    assert content == {
        "facts": {"commit": "1"},
        "Photographs": {
            "rows": {"all": {"photographs": 1, "landmark": {"known": 0, "mean": None, "p90": None}}},
            "notes": ["a note"],
        },
    }
    assert path.read_text().startswith("# Evaluation\n\n- commit: 1\n\n## Photographs\n")
