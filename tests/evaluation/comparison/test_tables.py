"""Tables of compared systems: values, dashes, reasons, and the same numbers in JSON."""

from __future__ import annotations

import json

import pytest
import torch

from mofa3d.evaluation.comparison.tables import (
    PHOTOGRAPHS,
    SYNTHETIC,
    VERIFICATION,
    SystemMeans,
    Table,
    comparison_report,
    means_of,
)

ERRORS = {
    "photometric": torch.tensor([0.1, 0.2, 0.3]),
    "landmark": torch.tensor([2.0, float("nan"), 4.0]),
    "area": torch.tensor([1.0, 1.1, 0.9]),
    "yaw": torch.tensor([1.0, 2.0, 3.0]),
    "landmark_yaw": torch.tensor([2.0, 4.0, 6.0]),
    "seconds": torch.tensor([0.5, 0.5, 0.8]),
}


def make_table(*rows: SystemMeans, columns=PHOTOGRAPHS) -> Table:
    return Table("Held-out photographs", "What it means.", columns, rows)


def test_a_row_has_means_and_the_correlation_of_yaw():
    row = means_of("MoFA", ERRORS)
    assert row.images == 3
    assert row.values == pytest.approx(
        {"photometric": 0.2, "landmark": 3.0, "area": 1.0, "seconds": 0.6, "yaw": 1.0}, abs=1e-6
    )
    assert "yaw" not in means_of("image", {"face": torch.ones(2)}).values


def test_markdown_has_a_line_per_system_and_reasons_below():
    lines = (
        make_table(means_of("MoFA", ERRORS), SystemMeans("Tran", reason="no people\nto learn from"))
        .markdown()
        .splitlines()
    )
    labels = "photometric error | landmark error (px) | area ratio | yaw correlation | seconds per image"
    assert lines == [
        f"| system | images | {labels} |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| MoFA | 3 | 0.200 | 3.00 | 1.00 | 1.00 | 0.600 |",
        "| Tran | – | – | – | – | – | – |",
        "",
        "Not measured:",
        "",
        "- Tran: no people to learn from",
    ]


def test_measures_that_are_not_defined_are_dashes_and_null():
    errors = {**ERRORS, "geometric": torch.full((3,), float("nan"))}
    table = make_table(means_of("MoFA", errors), columns=SYNTHETIC)
    assert "| MoFA | 3 | – | 0.200 |" in table.markdown()
    content = table.content()["MoFA"]
    assert content["geometric"] is None
    assert content["photometric"] == pytest.approx(0.2)
    assert make_table(SystemMeans("Tran", reason="why")).content() == {"Tran": {"failed": "why"}}


def test_verification_has_its_own_columns():
    row = SystemMeans("MoFA", {"accuracy": 61.25, "standard error": 1.5, "area": 0.65432}, 80)
    assert "| MoFA | 80 | 61.25 | 1.50 | 0.6543 |" in make_table(row, columns=VERIFICATION).markdown()


def test_results_are_written_as_markdown_and_json(tmp_path):
    results = comparison_report(
        "Comparison",
        {"commit": "abc"},
        [make_table(means_of("MoFA", ERRORS))],
        {"faces.png": "Faces. One row for each."},
        {"MoFA": "python experiments/train_mofa.py"},
        {"Where we differ": "Here.\n"},
    )
    text = results.write(tmp_path, "results").read_text(encoding="utf-8")
    headlines = [line for line in text.splitlines() if line.startswith("#")]
    assert headlines == [
        "# Comparison",
        "## Held-out photographs",
        "## Faces",
        "## Where we differ",
        "## Commands that were run",
    ]
    assert "- commit: abc\n" in text
    assert "![Faces](faces.png)" in text
    assert "python experiments/train_mofa.py  # MoFA\n" in text
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["tables"]["Held-out photographs"]["MoFA"]["landmark"] == 3.0
    assert content["commands"] == {"MoFA": "python experiments/train_mofa.py"}
