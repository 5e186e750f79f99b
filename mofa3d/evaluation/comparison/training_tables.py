"""What the trainings of a comparison reached, from their own reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from mofa3d.evaluation.comparison.plan import opened
from mofa3d.evaluation.comparison.program_runs import REPORT, Outcome
from mofa3d.evaluation.comparison.tables import BEFORE_AND_AFTER, TRAININGS, SystemMeans


def training_rows(outcomes: dict[str, Outcome]) -> list[SystemMeans]:
    """Iterations, batch size and minutes of each training; ``images`` counts an image as often as it was seen."""
    return [_row(system, outcome, _reached) for system, outcome in outcomes.items()]


def before_and_after(before: str, after: str, outcome: Outcome) -> list[SystemMeans]:
    """The errors on a training's own held-out images, before it and after.

    Args:
        before, after: names of the rows.
        outcome: of the training.
    """
    return [
        _row(system, outcome, partial(_errors_of, stage)) for system, stage in ((before, "before"), (after, "after"))
    ]


def _errors_of(stage: str, report: dict) -> tuple[dict[str, float], int]:
    return _errors(report[stage]["all"])


def _row(system: str, outcome: Outcome, read: Callable[[dict], tuple[dict[str, float], int]]) -> SystemMeans:
    try:
        run = opened(outcome)
        path = (run if run.is_dir() else run.parent) / REPORT
        values, images = read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:  # of json; a reused run's report may be old
        return SystemMeans(system, reason=outcome.reason or f"its training left no report of it ({error})")
    return SystemMeans(system, values, images)


def _reached(report: dict) -> tuple[dict[str, float], int]:
    values = {name: report["training"][name] for name in TRAININGS}
    return values, values["iterations"] * values["batch"]


def _errors(means: dict) -> tuple[dict[str, float], int]:
    known = {name: means[name] for name in BEFORE_AND_AFTER if means.get(name) is not None}
    return {name: known.get(name, float("nan")) for name in BEFORE_AND_AFTER}, means["images"]
