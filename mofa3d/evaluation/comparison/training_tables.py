"""What the trainings of a comparison reached, from their own reports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.plan import opened
from mofa3d.evaluation.comparison.program_runs import REPORT, Outcome
from mofa3d.evaluation.comparison.tables import BEFORE_AND_AFTER, Row

SAID = re.compile(r"(\d+) iterations of (\d+) in ([\d.]+) min")  # see `mofa3d.training.progress.Progress.describe`


def training_rows(outcomes: dict[str, Outcome]) -> list[Row]:
    """Iterations, batch size and minutes of each training; ``images`` counts an image as often as it was seen."""
    return [_row(system, outcome, _reached) for system, outcome in outcomes.items()]


def before_and_after(before: str, after: str, outcome: Outcome) -> list[Row]:
    """The errors on a training's own held-out images, before it and after.

    Args:
        before, after: names of the rows.
        outcome: of the training.
    """
    return [
        _row(system, outcome, lambda report, stage=stage: _errors(report[stage]["all"]))
        for system, stage in ((before, "before"), (after, "after"))
    ]


def _row(system: str, outcome: Outcome, read: Callable[[dict], tuple[dict[str, float], int]]) -> Row:
    try:
        run = opened(outcome)
        path = (run if run.is_dir() else run.parent) / REPORT
        values, images = read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:  # of json; a reused run may have no report
        return Row(system, reason=outcome.reason or f"its training left no report that says so ({error})")
    return Row(system, values, images)


def _reached(report: dict) -> tuple[dict[str, float], int]:
    found = SAID.match(report["facts"]["training"])
    if not found:
        raise InputError(f"got {report['facts']['training']!r}, expected iterations and minutes")
    iterations, batch, minutes = int(found[1]), int(found[2]), float(found[3])
    return {"iterations": iterations, "batch": batch, "minutes": minutes}, iterations * batch


def _errors(means: dict) -> tuple[dict[str, float], int]:
    known = {name: means[name] for name in BEFORE_AND_AFTER if means.get(name) is not None}
    return {name: known.get(name, float("nan")) for name in BEFORE_AND_AFTER}, means["images"]
